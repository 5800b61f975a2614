//! Files of a container, running or not: `cp`, `export`, `diff` and the layer of a commit.
//!
//! A container that does not run has no machine; one is started for it without its process, and
//! ended when the work is done.

mod transfer;

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::message::{
    FailureKind, PathStatus, ReadArchive, ReadChanges, Reply, Request, StatPath, Stream,
    WriteArchive,
};
use bollard_stubs::models::{ChangeType, FilesystemChange};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::OwnedMutexGuard;

pub(super) use self::transfer::in_time;
use self::transfer::{from_guest, to_guest};

use super::ContainerError;
use super::live::Container;
use super::machine::Machine;
use super::record::Phase;
use super::spec::signal;
use crate::agent::{AgentError, Command, at_once, within};
use crate::http::error::chain;

/// The machine in which a container's files are, for as long as this lives.
#[derive(Debug)]
pub struct Access {
    container: Arc<Container>,
    machine: Machine,
    /// The container was made in it for this.
    temporary: Option<Temporary>,
}

/// A container that was made in a machine for its files alone.
#[derive(Debug)]
struct Temporary {
    /// The machine stays.
    is_pods: bool,
    _operation: OwnedMutexGuard<()>,
}

/// A guest that has been given all may take so long to be done with it, as may one that has given
/// all to say so.
const LAST_FILES: Duration = Duration::from_secs(60);

/// Why a transfer ended early.
const TRANSFER: &str = "the transfer of files with the container broke off";

impl Container {
    /// Gets at its files.
    pub async fn access(self: &Arc<Self>) -> Result<Access, ContainerError> {
        if let Some(run) = self.run() {
            let machine = run.machine.clone();
            return Ok(Access { container: Arc::clone(self), machine, temporary: None });
        }
        let guard = Arc::clone(&self.operation).lock_owned().await;
        // It may have been started meanwhile.
        if let Some(run) = self.run() {
            let machine = run.machine.clone();
            return Ok(Access { container: Arc::clone(self), machine, temporary: None });
        }
        if matches!(self.phase(), Phase::Removing | Phase::Dead) {
            return Err(ContainerError::NotFound(self.id.clone()));
        }
        let (machine, is_pods) = self.machine_for_files().await?;
        let temporary = Some(Temporary { is_pods, _operation: guard });
        Ok(Access { container: Arc::clone(self), machine, temporary })
    }
}

impl Access {
    /// Ends a machine that was started for this, after writing out.
    pub async fn close(self) {
        let Some(temporary) = self.temporary else { return };
        self.machine.delete(&self.container.id).await;
        if !temporary.is_pods {
            self.machine.shut_down(&self.container.id).await;
        }
    }

    /// Begins a transfer.
    async fn begin(&self, request: Request, stream: Stream) -> Result<Command, AgentError> {
        at_once(self.machine.agent().start(request, &[stream])).await
    }

    fn failed(&self, path: &str) -> impl FnOnce(AgentError) -> ContainerError + use<> {
        let (path, container) = (path.to_owned(), self.container.name());
        move |error| match error.kind() {
            Some(FailureKind::NoSuchPath) => ContainerError::NoPath { path, container },
            _ => broken(error, &container),
        }
    }

    /// What a path is.
    pub async fn status(&self, path: &str) -> Result<PathStatus, ContainerError> {
        let id = self.container.id.clone();
        let stat = Request::StatPath(StatPath { id, path: path.as_bytes().to_vec() });
        let status = at_once(self.machine.agent().request(stat)).await;
        match status.map_err(self.failed(path))? {
            Reply::PathStatus(status) => Ok(status),
            _ => Err(ContainerError::Machine(AgentError::Unexpected.to_string())),
        }
    }

    /// Begins to read a path as a tar archive.
    pub async fn read(&self, read: ReadArchive) -> Result<Command, ContainerError> {
        let path = String::from_utf8_lossy(&read.path).into_owned();
        let read = ReadArchive { id: self.container.id.clone(), ..read };
        let begun = self.begin(Request::ReadArchive(read), Stream::Stdout).await;
        begun.map_err(self.failed(&path))
    }

    /// Unpacks an archive into a folder.
    pub async fn write(
        &self,
        write: WriteArchive,
        archive: impl AsyncRead + Unpin,
    ) -> Result<(), ContainerError> {
        let path = String::from_utf8_lossy(&write.path).into_owned();
        let write = WriteArchive { id: self.container.id.clone(), ..write };
        let begun = self.begin(Request::WriteArchive(write), Stream::Stdin).await;
        let mut command = begun.map_err(self.failed(&path))?;
        let mut copied = Ok(());
        if let Some(stdin) = command.streams.stdin.take() {
            copied = to_guest(&self.container.name(), archive, stdin).await;
        }
        if let Err(silent @ ContainerError::Silent { .. }) = copied {
            return Err(silent);
        }
        let status = within(LAST_FILES, command.wait()).await.map_err(self.failed(&path))?;
        if status.shell_code() != 0 {
            self.refuse_file(&path).await?;
            let text = format!("failed to unpack into {path} (code {})", status.shell_code());
            return Err(ContainerError::Machine(text));
        }
        copied
    }

    /// Carries an archive that [was begun](Self::read) to its end.
    pub async fn carry(
        &self,
        mut command: Command,
        mut sink: impl AsyncWrite + Unpin,
    ) -> Result<(), ContainerError> {
        let container = self.container.name();
        if let Some(stdout) = command.streams.stdout.take() {
            from_guest(&container, stdout, &mut sink).await?;
        }
        finish(command, &container).await?;
        sink.shutdown().await.map_err(ContainerError::io(TRANSFER))
    }

    /// The name of the container.
    pub(super) fn name(&self) -> String {
        self.container.name()
    }

    /// What is no folder was the wrong place to unpack anything.
    async fn refuse_file(&self, path: &str) -> Result<(), ContainerError> {
        const KIND: u32 = 0o170_000;
        const FILE: u32 = 0o100_000;
        match self.status(path).await {
            Ok(status) if status.mode & KIND == FILE => {
                Err(ContainerError::Invalid("extraction point is not a directory".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What differs from the image.
    pub async fn changes(&self) -> Result<Vec<FilesystemChange>, ContainerError> {
        let read = ReadChanges { id: self.container.id.clone() };
        let begun = self.begin(Request::ReadChanges(read), Stream::Stdout).await;
        let mut command = begun.map_err(self.failed("/"))?;
        let stdout = command.streams.stdout.take();
        let changes = match stdout {
            Some(stdout) => read_changes(&self.name(), stdout, MOST).await,
            None => Ok(Vec::new()),
        };
        if !matches!(changes, Ok(_) | Err(ContainerError::Silent { .. })) {
            // It may have no end. That it has ended already is no fault.
            let _ = at_once(command.signal(signal::KILL, true)).await;
        }
        let changes = changes?;
        finish(command, &self.name()).await?;
        Ok(changes)
    }
}

/// How many changes a container may have that are told of.
#[derive(Clone, Copy, Debug)]
struct Most {
    records: usize,
    /// Of their paths.
    bytes: usize,
}

/// They are kept in memory until all are known.
const MOST: Most = Most { records: 1_000_000, bytes: 256 << 20 };

async fn read_changes(
    container: &str,
    stdout: impl AsyncRead + Unpin,
    most: Most,
) -> Result<Vec<FilesystemChange>, ContainerError> {
    let mut reader = BufReader::new(stdout);
    let (mut changes, mut record) = (Vec::new(), Vec::new());
    let (mut records, mut bytes) = (0, 0);
    loop {
        record.clear();
        // A path has at most 4096 bytes; what the guest says is not trusted.
        let mut limited = (&mut reader).take(8192);
        if in_time(container, limited.read_until(0, &mut record)).await? == 0 {
            return Ok(changes);
        }
        records += 1;
        bytes += record.len();
        if records > most.records || bytes > most.bytes {
            let Most { records, bytes } = most;
            let text = format!("more changes than are told of: {records}, or {bytes} bytes");
            return Err(ContainerError::Machine(text));
        }
        changes.extend(change(&record));
    }
}

/// `C /path`, with or without the NUL at its end.
fn change(record: &[u8]) -> Option<FilesystemChange> {
    let record = record.strip_suffix(b"\0").unwrap_or(record);
    let (kind, path) = record.split_first_chunk::<2>()?;
    let kind = match kind {
        b"C " => ChangeType::_0,
        b"A " => ChangeType::_1,
        b"D " => ChangeType::_2,
        _ => return None,
    };
    Some(FilesystemChange { path: String::from_utf8_lossy(path).into_owned(), kind })
}

/// Waits for the good end of a command that has told all.
pub(super) async fn finish(command: Command, container: &str) -> Result<(), ContainerError> {
    let status = within(LAST_FILES, command.wait()).await;
    match status.map_err(|error| broken(error, container))?.shell_code() {
        0 => Ok(()),
        code => Err(ContainerError::Machine(format!("{TRANSFER} (code {code})"))),
    }
}

fn broken(error: AgentError, container: &str) -> ContainerError {
    match error {
        AgentError::Late(limit) => {
            ContainerError::Silent { container: container.to_owned(), limit }
        }
        error => ContainerError::Machine(chain(&error)),
    }
}

#[cfg(test)]
mod tests;
