//! A registry behind TLS, with a certificate of an authority that only the client is told of.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::registry::{Credentials, Registries, RegistryError, Settings};

use crate::programs::Registry;
use crate::{Client, reference};

/// An authority's certificate, `ca.crt`, and by it one for 127.0.0.1, `server.crt`.
fn certify(folder: &Path) {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 \
            -subj /CN=authority -addext basicConstraints=critical,CA:TRUE && \
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server && \
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > names && \
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -extfile names -out server.crt";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A client that has `authority` for the registry.
fn client(registry: &str, authority: &Path) -> Client {
    let mut client = Client::new();
    let certificates = client.root.path().join("certs.d");
    fs::create_dir_all(certificates.join(registry)).unwrap();
    fs::copy(authority, certificates.join(registry).join("ca.crt")).unwrap();
    let settings = Settings { certificates: vec![certificates], ..Settings::default() };
    client.registries = Registries::new(settings).unwrap();
    client
}

#[tokio::test]
async fn registry_behind_tls_is_trusted_by_its_authority_and_gets_the_password() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let registry = Registry::start_with_tls(folder.path(), true);
    let name = format!("{}/app:1", registry.address);
    let client = client(&registry.address, &folder.path().join("ca.crt"));
    let id = client.make(&name, &[("hello", b"hello")]);
    let user = Credentials::Basic { user: "me".to_owned(), password: "secret".to_owned() };
    client.registries.login(&registry.address, &user).await.unwrap();
    let observer = image::registry::Observer::new(|_| ());
    let wanted = reference(&name);
    client.registries.push(&client.store, &wanted, &user, &observer).await.unwrap();
    assert_eq!(client.pull_as(&name, user).await.unwrap(), id);
    assert!(matches!(client.pull(&name).await, Err(RegistryError::Denied { .. })));
}

#[tokio::test]
async fn registry_of_another_authority_is_refused_at_once_and_the_error_says_what_to_do() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certify(folder.path());
    certify(other.path());
    let registry = Registry::start_with_tls(folder.path(), false);
    let client = client(&registry.address, &other.path().join("ca.crt"));
    let error = client.pull(&format!("{}/app:1", registry.address)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Untrusted { .. }), "{error:?}");
    let told = format!("/etc/docker/certs.d/{}/ca.crt", registry.address);
    assert!(error.to_string().contains(&told), "{error}");
}
