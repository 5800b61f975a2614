//! The command line, as a person uses it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::process::program;

/// The `bulkhead` program with a runtime folder of its own. Machines that run in it end with this
/// value.
#[derive(Debug)]
pub struct Cli {
    program: PathBuf,
    runtime: tempfile::TempDir,
}

impl Cli {
    /// The program that was built beside this test.
    ///
    /// # Errors
    ///
    /// It was not built.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { program: program("bulkhead")?, runtime: tempfile::tempdir()? })
    }

    /// Its runtime folder.
    pub fn folder(&self) -> &Path {
        self.runtime.path()
    }

    /// Its folder of machines.
    pub fn machines(&self) -> PathBuf {
        self.folder().join("bulkhead/vms")
    }

    /// The program with these arguments, or `wrapper` around it.
    pub fn command(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = match wrapper.split_first() {
            Some((wrapper, more)) => {
                let mut command = Command::new(wrapper);
                command.args(more).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.env("XDG_RUNTIME_DIR", self.folder()).args(arguments);
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(&[], arguments).output().with_context(|| format!("run bulkhead {arguments:?}"))
    }

    /// Standard output of a command that must succeed.
    ///
    /// # Errors
    ///
    /// It did not succeed.
    pub fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {}\n{errors}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Standard error of a command that must fail with status 1.
    ///
    /// # Errors
    ///
    /// It failed otherwise or not at all.
    pub fn failure(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.status.code() == Some(1), "{arguments:?}: {}", output.status);
        Ok(String::from_utf8(output.stderr)?.trim_end().to_owned())
    }

    /// All machines, as a list of objects.
    ///
    /// # Errors
    ///
    /// The list does not come.
    pub fn list(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.text(&["vm", "ls", "--all", "--format", "json"])?)?)
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // There are some after a test that failed.
        let names = self.text(&["vm", "ls", "--quiet"]).unwrap_or_default();
        for name in names.lines() {
            let _ = self.run(&["vm", "kill", name]);
        }
    }
}
