//! `bulkhead logout` with credentials that a helper keeps.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn helper_is_told_to_forget_the_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let helper = folder.path().join("docker-credential-keeper");
    // It notes what it is asked: the verb, and the server on its standard input.
    fs::write(&helper, "#!/bin/sh\n(echo \"$1\"; cat) > \"$DOCKER_CONFIG/asked\"\n").unwrap();
    fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
    let config = r#"{"credHelpers":{"registry.test":"keeper"},"auths":{"registry.test":{}}}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(["logout", "registry.test"])
        .env("DOCKER_CONFIG", folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    assert_eq!(asked, "erase\nregistry.test");
    let left = fs::read_to_string(folder.path().join("config.json")).unwrap();
    assert!(!left.contains("\"registry.test\": {}"), "{left}");
}
