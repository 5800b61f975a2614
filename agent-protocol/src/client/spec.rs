//! What to run in the guest.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use crate::message::{Exec, Stdio, Terminal};

/// A command to run in the guest, built up like `std::process::Command`.
///
/// Standard input is `/dev/null` and the two outputs are streams unless set otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    message: Exec,
}

impl ExecSpec {
    /// Runs `program`, sought in the command's `PATH` unless it contains a slash.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let message = Exec {
            argv: vec![bytes(program)],
            stdin: Stdio::Null.into(),
            stdout: Stdio::Stream.into(),
            stderr: Stdio::Stream.into(),
            ..Exec::default()
        };
        Self { message }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.message.argv.push(bytes(argument));
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.message.argv.extend(arguments.into_iter().map(bytes));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let mut variable = bytes(name);
        variable.push(b'=');
        variable.extend_from_slice(value.as_ref().as_bytes());
        self.message.env.push(variable);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, path: impl AsRef<OsStr>) -> Self {
        self.message.cwd = bytes(path);
        self
    }

    /// Runs as `user[:group]`, names or numbers.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.message.user = user.into();
        self
    }

    /// Sets where standard input comes from.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdio) -> Self {
        self.message.stdin = stdin.into();
        self
    }

    /// Sets where standard output goes.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.message.stdout = stdout.into();
        self
    }

    /// Sets where standard error goes.
    #[must_use]
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.message.stderr = stderr.into();
        self
    }

    /// Gives the command a terminal in place of the three streams.
    #[must_use]
    pub fn terminal(mut self, rows: u16, columns: u16) -> Self {
        self.message.terminal = Some(Terminal { rows: rows.into(), columns: columns.into() });
        self
    }

    /// Runs in a container rather than in the machine itself.
    #[must_use]
    pub fn container(mut self, id: impl Into<String>) -> Self {
        self.message.container = id.into();
        self
    }

    /// Lets the command run on when the client goes.
    #[must_use]
    pub fn detach(mut self) -> Self {
        self.message.detach = true;
        self
    }

    /// The same command with its outputs, and its input if there is any, as streams.
    pub(super) fn collected(&self, with_input: bool) -> Self {
        let mut spec = self.clone();
        spec.message.terminal = None;
        spec.message.stdin = if with_input { Stdio::Stream } else { Stdio::Null }.into();
        spec.message.stdout = Stdio::Stream.into();
        if spec.message.stderr() == Stdio::Null {
            spec.message.stderr = Stdio::Stream.into();
        }
        spec
    }

    /// The message that asks for it.
    #[must_use]
    pub fn message(&self) -> &Exec {
        &self.message
    }
}

fn bytes(value: impl AsRef<OsStr>) -> Vec<u8> {
    value.as_ref().as_bytes().to_vec()
}
