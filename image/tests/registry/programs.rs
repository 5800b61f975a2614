//! The programs of others that the tests run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HOW: &str = "install it with: scripts/setup containers";

/// Whom a registry serves.
pub(crate) enum Access {
    Free,
    /// User `me` with password `secret`.
    Password,
    /// Who has a certificate of the authority `ca.crt` in the folder of certificates.
    Certificate,
    /// Who has a token of the server at this address, of the authority in this folder.
    Tokens {
        server: String,
        certificates: PathBuf,
    },
}

/// A server of tokens, behind TLS, for user `me` with password `secret`.
pub(crate) struct TokenServer {
    /// Host and port.
    pub(crate) address: String,
    process: Child,
}

impl TokenServer {
    /// Starts it by the certificate and key in this folder.
    pub(crate) fn start(certificates: &Path) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registry/token_server.py");
        let mut process = Command::new("python3")
            .arg(program)
            .arg(certificates)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("python3 does not run ({error}): {HOW}"));
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "the server of tokens ended");
        Self { address: format!("127.0.0.1:{}", port.trim_end()), process }
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A registry on a free port of this host.
pub(crate) struct Registry {
    /// Host and port.
    pub(crate) address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts it; with a password it wants user `me` and password `secret`.
    pub(crate) fn start(password: bool) -> Self {
        Self::start_with(if password { &Access::Password } else { &Access::Free }, "")
    }

    /// Starts it with TLS, by the certificate and key in this folder.
    pub(crate) fn start_with_tls(certificates: &Path, access: &Access) -> Self {
        let path = certificates.display();
        let clients = match access {
            Access::Certificate => format!(", clientcas: [{path}/ca.crt]"),
            _ => String::new(),
        };
        let server = format!("certificate: {path}/server.crt, key: {path}/server.key");
        Self::start_with(access, &format!("tls: {{{server}{clients}}}"))
    }

    fn start_with(access: &Access, tls: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let mut text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {path}/data}}}}\n\
             http: {{addr: \"127.0.0.1:0\"{}{tls}}}\n",
            if tls.is_empty() { "" } else { ", " }
        );
        if let Access::Tokens { server, certificates } = access {
            text += &format!(
                "auth: {{token: {{realm: \"https://{server}/token\", service: here, \
                 issuer: tests, rootcertbundle: {}/ca.crt}}}}\n",
                certificates.display()
            );
        }
        if matches!(access, Access::Password) {
            let line = "me:$2y$04$KBZyPEzTJGuYgQuqB6Psiu9GRcWMryli0ltUHu3ef4RnrQvzYC162\n";
            std::fs::write(folder.path().join("users"), line).unwrap();
            text += &format!("auth: {{htpasswd: {{realm: here, path: {path}/users}}}}\n");
        }
        let config = folder.path().join("config.yml");
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry does not run ({error}): {HOW}"));
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let address = address(&mut log);
        // It may not block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { address, process, _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads the log up to the line that tells where it listens.
fn address(log: &mut impl BufRead) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "docker-registry ended: {seen}");
        if let Some((_, rest)) = line.split_once("listening on ") {
            return rest.split(['"', ' ', ',']).next().unwrap().to_owned();
        }
        seen += &line;
    }
}

/// Runs skopeo; its output.
pub(crate) fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("skopeo does not run ({error}): {HOW}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
