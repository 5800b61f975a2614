//! A registry behind TLS, with a certificate of an authority that only the client is told of.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::registry::{Credentials, Registries, RegistryError, Settings};

use crate::programs::{Access, Registry, TokenServer};
use crate::{Client, reference};

/// An authority's certificate, `ca.crt`, and by it one for 127.0.0.1, `server.crt`, and one of a
/// client, `client.cert`.
fn certify(folder: &Path) {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 \
            -subj /CN=authority -addext basicConstraints=critical,CA:TRUE && \
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server && \
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > names && \
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -extfile names -out server.crt && \
        openssl req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=me && \
        openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -extfile names -out client.cert";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A client that has these files of the folder `from` for each of the servers.
fn client(servers: &[&str], from: &Path, files: &[&str]) -> Client {
    let mut client = Client::new();
    let certificates = client.root.path().join("certs.d");
    for server in servers {
        fs::create_dir_all(certificates.join(server)).unwrap();
        for file in files {
            fs::copy(from.join(file), certificates.join(server).join(file)).unwrap();
        }
    }
    let settings = Settings { certificates: vec![certificates], ..Settings::default() };
    client.registries = Registries::new(settings).unwrap();
    client
}

#[tokio::test]
async fn registry_behind_tls_is_trusted_by_its_authority_and_gets_the_password() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let registry = Registry::start_with_tls(folder.path(), &Access::Password);
    let name = format!("{}/app:1", registry.address);
    let client = client(&[&registry.address], folder.path(), &["ca.crt"]);
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
    let registry = Registry::start_with_tls(folder.path(), &Access::Free);
    let client = client(&[&registry.address], other.path(), &["ca.crt"]);
    let error = client.pull(&format!("{}/app:1", registry.address)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Untrusted { .. }), "{error:?}");
    let told = format!("/etc/docker/certs.d/{}/ca.crt", registry.address);
    assert!(error.to_string().contains(&told), "{error}");
}

#[tokio::test]
async fn client_without_a_certificate_is_refused_where_the_registry_wants_one() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let registry = Registry::start_with_tls(folder.path(), &Access::Certificate);
    let (at, name) = ([registry.address.as_str()], format!("{}/app:1", registry.address));
    let known = client(&at, folder.path(), &["ca.crt", "client.cert", "client.key"]);
    let id = known.make(&name, &[("hello", b"hello")]);
    known.push(&name).await.unwrap();
    assert_eq!(known.pull(&name).await.unwrap(), id);
    let error = client(&at, folder.path(), &["ca.crt"]).pull(&name).await.unwrap_err();
    assert!(matches!(error, RegistryError::Transport { .. }), "{error:?}");
}

#[tokio::test]
async fn tokens_come_from_a_server_behind_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tokens = TokenServer::start(folder.path());
    let (server, certificates) = (tokens.address.clone(), folder.path().to_owned());
    let access = Access::Tokens { server, certificates };
    let registry = Registry::start_with_tls(folder.path(), &access);
    let name = format!("{}/team/app:1", registry.address);
    let client = client(&[&registry.address, &tokens.address], folder.path(), &["ca.crt"]);
    let id = client.make(&name, &[("hello", b"hello")]);
    let user = Credentials::Basic { user: "me".to_owned(), password: "secret".to_owned() };
    client.registries.login(&registry.address, &user).await.unwrap();
    let observer = image::registry::Observer::new(|_| ());
    client.registries.push(&client.store, &reference(&name), &user, &observer).await.unwrap();
    assert_eq!(client.pull_as(&name, user).await.unwrap(), id);
    let error = client.pull(&name).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn certificate_of_a_client_that_tls_does_not_take_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    // Without extensions it is one of version 1.
    let old = "openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -out client.cert";
    let made = Command::new("sh").args(["-ec", old]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let client = client(&["127.0.0.1:1"], folder.path(), &["ca.crt", "client.cert", "client.key"]);
    let error = client.pull("127.0.0.1:1/app:1").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Trust { registry, .. } if registry == "127.0.0.1:1"));
    assert!(said(&error).contains("before version 3"), "{}", said(&error));
}

/// An error and its causes.
fn said(error: &dyn std::error::Error) -> String {
    let more = error.source().map(|source| format!(": {}", said(source)));
    format!("{error}{}", more.unwrap_or_default())
}
