//! Programs in Python that drive an engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::engine::TestEngine;
use crate::kernel::cache;

/// What is kept in `clients` of this crate.
pub fn client_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs a program of `clients` with the packages that `scripts/setup containers` has fetched; gives
/// what it printed.
///
/// # Errors
///
/// The packages are missing, or the program failed.
pub fn run_python(engine: &TestEngine, file: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let packages = cache()?.join("python/clients");
    ensure!(packages.exists(), "{} is missing: scripts/setup containers", packages.display());
    let mut command: Command = engine.client("python3", &["-B"]);
    command.arg(client_file(file)).args(arguments).env("PYTHONPATH", packages);
    // It would need Docker's socket in a container, and a registry.
    command.env("TESTCONTAINERS_RYUK_DISABLED", "true");
    // Where this runs in a container it would take Docker's bridge for the way to published ports.
    command.env("TESTCONTAINERS_CONNECTION_MODE", "docker_host");
    let output = command.output().context("run python3")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{file}: {}\n{errors}\n{}", output.status, engine.logged());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
