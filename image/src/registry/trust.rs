//! Certificates for single registries, in folders as Docker has them.
//!
//! ```text
//!  /etc/docker/certs.d/registry.example:5000/
//!  ├── ca.crt                     trusted for this registry, besides what the host trusts
//!  └── client.cert, client.key    shown to it
//! ```

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file or folder cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no certificate in PEM", .0.display())]
    Certificate(PathBuf),
    /// A certificate to be shown has no key, or one that does not parse.
    #[error("{} and the .key beside it are no certificate and key in PEM", .0.display())]
    Identity(PathBuf),
    /// They parse, but TLS as we speak it does not take them.
    #[error("one of them is not taken; certificates before version 3 of X.509 are not")]
    Refused(#[source] reqwest::Error),
}

/// What is for one registry.
#[derive(Debug, Default)]
pub(super) struct Trust {
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
}

/// The folders that hold one for each registry: Docker's and our own, of the host, or of the user
/// whose engine is not root's.
pub(super) fn folders() -> Vec<PathBuf> {
    let host = ["/etc/docker/certs.d", "/etc/bulkhead/certs.d"].map(PathBuf::from);
    let given = env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty());
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".config"));
    let user = given.map(PathBuf::from).or_else(home).into_iter();
    host.into_iter()
        .chain(
            user.flat_map(|config| {
                [config.join("docker/certs.d"), config.join("bulkhead/certs.d")]
            }),
        )
        .collect()
}

impl Trust {
    /// What the first of these folders has that has something for the registry.
    pub(super) fn of(registry: &str, folders: &[PathBuf]) -> Result<Option<Self>, TrustError> {
        // As part of a path it must be a name; what is none is refused elsewhere.
        if registry.is_empty() || registry.starts_with('.') || registry.contains('/') {
            return Ok(None);
        }
        let found = folders.iter().map(|folder| folder.join(registry)).find(|own| own.is_dir());
        found.map(|folder| Self::read(&folder)).transpose()
    }

    fn read(folder: &Path) -> Result<Self, TrustError> {
        let failed = |path: &Path, source| TrustError::Read { path: path.to_owned(), source };
        let mut trust = Self::default();
        for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            let read = |path: &Path| fs::read(path).map_err(|error| failed(path, error));
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => {
                    let found = Certificate::from_pem_bundle(&read(&path)?).unwrap_or_default();
                    if found.is_empty() {
                        return Err(TrustError::Certificate(path));
                    }
                    trust.authorities.extend(found);
                }
                Some("cert") => {
                    let key = path.with_extension("key");
                    let both = [read(&path)?, b"\n".to_vec(), read(&key)?].concat();
                    let identity = Identity::from_pem(&both);
                    trust.identity = Some(identity.map_err(|_| TrustError::Identity(path))?);
                }
                _ => {}
            }
        }
        Ok(trust)
    }

    /// A client with all of it; `alone` on a host that trusts nobody.
    pub(super) fn apply(&self, builder: ClientBuilder, alone: bool) -> ClientBuilder {
        let authorities = self.authorities.clone();
        let builder = match alone {
            true => builder.tls_certs_only(authorities),
            false => builder.tls_certs_merge(authorities),
        };
        match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        assert!(Trust::of("a:5000", &folders).unwrap().is_none());
        let own = folder.path().join("a:5000");
        fs::create_dir(&own).unwrap();
        assert!(Trust::of("a:5000", &folders).unwrap().is_some());
        fs::write(own.join("ca.crt"), "nothing").unwrap();
        let error = Trust::of("a:5000", &folders).unwrap_err().to_string();
        assert_eq!(error, format!("{} holds no certificate in PEM", own.join("ca.crt").display()));
    }

    #[test]
    fn certificate_without_its_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("a");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("client.cert"), "x").unwrap();
        let error = Trust::of("a", &[folder.path().to_owned()]).unwrap_err().to_string();
        assert_eq!(error, format!("failed to read {}", own.join("client.key").display()));
    }

    #[test]
    fn registry_is_not_a_path_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../etc", "/etc"] {
            assert!(Trust::of(name, &[folder.path().to_owned()]).unwrap().is_none(), "{name}");
        }
    }
}
