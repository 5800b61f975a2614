//! Tests on a small disk: a file system in a mount namespace of their own.

use std::path::Path;
use std::process::Command;

/// Mounts a disk of the first argument's size at the second and runs the rest.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@""#;

/// Runs an ignored test of this program with a disk of `size` for its temporary files.
pub(crate) fn run(test: &str, size: &str, environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh", size])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env("TMPDIR", folder.path())
        .envs(environment.iter().copied())
        .output()
        .expect("unshare, of util-linux, is needed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{error}");
}

/// Takes all room that is left.
pub(crate) fn fill(path: &Path) {
    let mut size = 1 << 20;
    let mut content = Vec::new();
    while size > 0 {
        content.resize(content.len() + size, 0);
        if std::fs::write(path, &content).is_err() {
            content.truncate(content.len() - size);
            size /= 2;
        }
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    noise.take(length).collect()
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error}: {source}")
}
