//! Credentials where Docker's client keeps them: its configuration file and helper programs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Credentials;
use super::credentials::{AuthConfig, InvalidCredentials};
use crate::DEFAULT_REGISTRY;

/// The name under which Docker's client keeps credentials for Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A helper may ask the user to unlock a keyring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Docker's `config.json`, as far as credentials go.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigFile {
    auths: BTreeMap<String, AuthConfig>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file could not be read.
    #[error("failed to read {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no such JSON.
    #[error("{path} is not a configuration of Docker's client", path = .path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// An entry cannot be read.
    #[error("the credentials of {registry} cannot be used")]
    Entry {
        /// For which registry.
        registry: String,
        /// Why.
        source: InvalidCredentials,
    },
    /// A helper's name that is more than a name.
    #[error("{0:?} is not the name of a credential helper")]
    HelperName(String),
    /// A helper did not start, or did not end in time.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A helper failed.
    #[error("{program} failed: {message}")]
    Helper {
        /// The program.
        program: String,
        /// What it says.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl ConfigFile {
    /// Where Docker's client keeps it: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
    pub fn default_path() -> Option<PathBuf> {
        let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".docker"));
        folder
            .filter(|folder| !folder.as_os_str().is_empty())
            .or_else(home)
            .map(|folder| folder.join("config.json"))
    }

    /// Reads the file; one that is missing has no credentials.
    ///
    /// # Errors
    ///
    /// It cannot be read or parsed.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigFileError::Read { path: path.to_owned(), source }),
        };
        serde_json::from_slice(&text)
            .map_err(|source| ConfigFileError::Parse { path: path.to_owned(), source })
    }

    /// The credentials for a registry; anonymous if there are none.
    ///
    /// # Errors
    ///
    /// A helper fails, or the entry cannot be read.
    pub async fn credentials(mut self, registry: &str) -> Result<Credentials, ConfigFileError> {
        let server = if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry };
        let own = self.cred_helpers.iter().find(|(host, _)| same_host(host, registry));
        let helper = own.map_or(self.creds_store.as_str(), |(_, helper)| helper);
        if !helper.is_empty() {
            return ask(helper, server).await;
        }
        let key = self.auths.keys().find(|host| same_host(host, registry)).cloned();
        let auth = key.and_then(|key| self.auths.remove(&key)).unwrap_or_default();
        Credentials::try_from(auth)
            .map_err(|source| ConfigFileError::Entry { registry: registry.to_owned(), source })
    }
}

/// Whether a key of the file means the registry: keys may be URLs.
fn same_host(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = if host == "index.docker.io" { DEFAULT_REGISTRY } else { host };
    host == registry
}

/// Runs `docker-credential-NAME get`.
async fn ask(helper: &str, server: &str) -> Result<Credentials, ConfigFileError> {
    if helper.contains(['/', '\0']) {
        return Err(ConfigFileError::HelperName(helper.to_owned()));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |source| ConfigFileError::Run { program: program.clone(), source };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read what it is asked tells so by its answer.
        let _ = input.write_all(format!("{server}\n").as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let message: String = text.trim().chars().take(300).collect();
        // The words by which helpers say that they know nothing of the server.
        return match message.contains("credentials not found") {
            true => Ok(Credentials::Anonymous),
            false => Err(ConfigFileError::Helper { program, message }),
        };
    }
    let answer: Answer = serde_json::from_str(&text).map_err(|_| ConfigFileError::Helper {
        program,
        message: "its answer is not JSON".to_owned(),
    })?;
    Ok(match answer.username.as_str() {
        "<token>" => Credentials::Identity(answer.secret),
        _ => Credentials::Basic { user: answer.username, password: answer.secret },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    async fn find(json: &str, registry: &str) -> Result<Credentials, ConfigFileError> {
        let file: ConfigFile = serde_json::from_str(json).unwrap();
        file.credentials(registry).await
    }

    #[tokio::test]
    async fn entries_are_found_by_host() {
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},
            "localhost:5000":{"username":"u","password":"p"}},"psFormat":"x"}"#;
        assert_eq!(find(json, "docker.io").await.unwrap(), basic("a", "b"));
        assert_eq!(find(json, "localhost:5000").await.unwrap(), basic("u", "p"));
        assert_eq!(find(json, "quay.io").await.unwrap(), Credentials::Anonymous);
    }

    #[test]
    fn missing_file_has_no_credentials() {
        assert!(ConfigFile::read(Path::new("/nonexistent/config.json")).unwrap().auths.is_empty());
    }

    /// One test, since the search path is the process's.
    #[tokio::test]
    async fn helpers_are_asked_and_their_errors_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = folder.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\nread server\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            // By its path, so that nothing of the process changes.
            path.file_name().unwrap().to_owned()
        };
        script("good", r#"echo "{\"Username\":\"$1\",\"Secret\":\"$server\"}""#);
        script("token", r#"echo '{"Username":"<token>","Secret":"t"}'"#);
        script("empty", "echo credentials not found in native keychain; exit 1");
        script("bad", "echo the keyring is locked; exit 1");
        let path = std::env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        let ask = |helper: &str| {
            let mut run = std::process::Command::new(std::env::current_exe().unwrap());
            run.args(["--ignored", "--exact", "registry::config_file::tests::one_helper"]);
            run.args(["--nocapture", "--test-threads=1"]);
            run.env("PATH", path.as_ref().unwrap()).env("HELPER", helper);
            String::from_utf8(run.output().unwrap().stdout).unwrap()
        };
        assert!(ask("good").contains("ANSWER Ok get https://index.docker.io/v1/"));
        assert!(ask("token").contains("ANSWER Ok token t"));
        assert!(ask("empty").contains("ANSWER Ok anonymous"));
        assert!(ask("bad").contains("failed: the keyring is locked"));
        assert!(ask("absent").contains("failed to run docker-credential-absent"));
        assert!(ask("../good").contains("is not the name of a credential helper"));
    }

    #[tokio::test]
    #[ignore = "run by helpers_are_asked_and_their_errors_told, with a search path of its own"]
    async fn one_helper() {
        let helper = std::env::var("HELPER").unwrap();
        let json = serde_json::json!({ "credHelpers": { "docker.io": helper } }).to_string();
        match find(&json, "docker.io").await {
            Ok(Credentials::Basic { user, password }) => println!("ANSWER Ok {user} {password}"),
            Ok(Credentials::Identity(token)) => println!("ANSWER Ok token {token}"),
            Ok(_) => println!("ANSWER Ok anonymous"),
            Err(error) => println!("ANSWER {error}"),
        }
    }
}
