//! Talking to a running machine's monitor.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use api::vm::client::{Client, ClientError};

use super::machines::{self, MachineFolder};
use crate::output;

/// A monitor that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which machines a command is for.
#[derive(clap::Args)]
pub(crate) struct Names {
    /// Names of the machines
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Names {
    /// Does something to each running machine and prints the names of those with which it went
    /// well. The exit status says whether all did.
    pub(crate) fn each(
        &self,
        act: impl FnMut(&MachineFolder) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        self.act_on(MachineFolder::open, act)
    }

    /// The same, machines that have ended included.
    pub(crate) fn each_known(
        &self,
        act: impl FnMut(&MachineFolder) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        self.act_on(MachineFolder::find, act)
    }

    fn act_on(
        &self,
        find: fn(&Path, &str) -> anyhow::Result<MachineFolder>,
        mut act: impl FnMut(&MachineFolder) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let root = machines::root();
        let mut code = ExitCode::SUCCESS;
        for name in &self.names {
            match find(&root, name).and_then(|folder| act(&folder)) {
                Ok(()) => output::line(name)?,
                Err(error) => {
                    output::report(&error);
                    code = ExitCode::FAILURE;
                }
            }
        }
        Ok(code)
    }
}

/// A client of the machine's monitor, for questions that are answered soon.
pub(crate) fn client(folder: &MachineFolder) -> Client {
    Client::new(folder.api_socket()).with_timeout(PATIENCE)
}

/// A client of the machine's monitor, for streams that may be silent for long.
pub(crate) fn patient_client(folder: &MachineFolder) -> Client {
    Client::new(folder.api_socket())
}

/// An answer, or an error that names the machine and says what to do.
pub(crate) fn answer<T>(
    folder: &MachineFolder,
    result: Result<T, ClientError>,
) -> anyhow::Result<T> {
    let name = folder.name();
    result.map_err(|error| {
        let advice = advice(&error, name);
        anyhow::Error::new(error).context(format!("{name}{advice}"))
    })
}

fn advice(error: &ClientError, name: &str) -> String {
    match error {
        ClientError::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            " belongs to another user".to_owned()
        }
        ClientError::Connect { .. } => {
            format!(" is starting or ending (try again, or: bulkhead vm kill {name})")
        }
        ClientError::Connection { source, .. }
            if matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
        {
            format!(" does not answer (end it with: bulkhead vm kill {name})")
        }
        ClientError::Connection { .. } => " ended meanwhile".to_owned(),
        _ => String::new(),
    }
}

/// The machine's document.
pub(crate) fn spec(folder: &MachineFolder) -> anyhow::Result<vm_spec::VmSpec> {
    let path = folder.spec_file();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} does not describe a machine", path.display()))
}
