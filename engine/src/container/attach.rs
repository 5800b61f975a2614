//! A client attached to a container's first process.

use std::sync::Arc;

use agent_protocol::message::{CloseInput, Request, Resize, Terminal};
use api::detach_keys::{DetachKeys, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::ContainerError;
use super::live::Container;
use super::logs::{Selection, Source};
use super::record::Phase;
use super::streams::{Attached, Given};
use crate::http::error::chain;
use crate::http::multiplex::{Framing, Multiplexer, Output};

/// What a client wants to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// It gives input.
    pub stdin: bool,
    /// It wants output.
    pub stdout: bool,
    /// It wants errors.
    pub stderr: bool,
    /// It wants what was logged first.
    pub logs: bool,
    /// It wants what is to come.
    pub stream: bool,
    /// Keys by which it leaves a terminal.
    pub keys: DetachKeys,
}

/// A client that is attached from the moment on in which this was made.
#[derive(Debug)]
pub struct Attachment {
    container: Arc<Container>,
    options: AttachOptions,
    attached: Option<Attached>,
}

impl Container {
    /// Attaches a client: from now on nothing of what it wants passes it by.
    pub fn attach(self: &Arc<Self>, options: AttachOptions) -> Result<Attachment, ContainerError> {
        match self.phase() {
            Phase::Paused => {
                let text =
                    format!("container {} is paused, unpause the container before attach", self.id);
                return Err(ContainerError::Conflict(text));
            }
            Phase::Restarting => {
                let text = format!(
                    "container {} is restarting, wait until the container is running",
                    self.id
                );
                return Err(ContainerError::Conflict(text));
            }
            _ => {}
        }
        let attached = options.stream.then(|| self.streams.attach(options.stdout, options.stderr));
        if options.stream {
            self.emit("attach", &[]);
        }
        Ok(Attachment { container: Arc::clone(self), options, attached })
    }

    /// How its output goes to clients.
    #[must_use]
    pub fn framing(&self) -> Framing {
        if self.spec().process.tty { Framing::Raw } else { Framing::Multiplexed }
    }

    /// Changes the size of its terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), ContainerError> {
        let run = self.running()?;
        let size = Some(Terminal { rows: rows.into(), columns: columns.into() });
        let resize = Request::Resize(Resize { session: run.session, size });
        let resized = run.machine.agent().act_at_once(resize).await;
        resized.map_err(|error| ContainerError::Machine(chain(&error)))?;
        let size = [("height", rows.to_string()), ("width", columns.to_string())];
        self.emit("resize", &size);
        Ok(())
    }

    /// A client that gave input has no more.
    async fn input_ended(&self) {
        let process = &self.spec().process;
        if !process.stdin_once || process.tty {
            return;
        }
        if let Some(run) = self.run() {
            // The connection first: the agent ends the input behind the last byte that came.
            self.streams.input.close();
            let close = Request::CloseInput(CloseInput { session: run.session });
            if let Err(error) = run.machine.agent().act_at_once(close).await {
                log::debug!("container {}: end of input: {error}", self.id);
            }
        }
    }
}

impl Attachment {
    /// How its output goes to the client.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.container.framing()
    }

    /// Carries the streams until the run is over or the client has gone.
    pub async fn serve<R, W>(mut self, input: R, client: W)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send,
    {
        let mut client = Multiplexer::new(self.framing(), client);
        let mut feeding = (self.options.stdin && self.options.stream).then(|| {
            let container = Arc::clone(&self.container);
            let tty = container.spec().process.tty;
            let watcher = tty.then(|| Watcher::new(&self.options.keys));
            tokio::spawn(async move {
                let given = container.streams.input.feed(input, watcher).await;
                if given == Given::ClientEnded {
                    container.input_ended().await;
                }
                given
            })
        });
        let left = async {
            if let Some(feeding) = &mut feeding
                && matches!(feeding.await, Ok(Given::Left))
            {
                return;
            }
            // Output goes on when input has ended.
            std::future::pending().await
        };
        let container = Arc::clone(&self.container);
        tokio::select! {
            () = self.carry(&mut client) => {}
            () = left => container.emit("detach", &[]),
        }
        if let Some(feeding) = feeding {
            feeding.abort();
        }
        // A client that has gone needs no end.
        let _ = client.into_inner().shutdown().await;
    }

    async fn carry<W: AsyncWrite + Unpin>(&mut self, client: &mut Multiplexer<W>) {
        if self.options.logs && !self.replay(client).await {
            return;
        }
        let Some(attached) = &mut self.attached else { return };
        while let Some((source, chunk)) = attached.next().await {
            if client.write(output(source), &chunk).await.is_err() {
                return;
            }
        }
    }

    /// Gives what was logged; tells whether the client is still there.
    async fn replay<W: AsyncWrite + Unpin>(&self, client: &mut Multiplexer<W>) -> bool {
        let AttachOptions { stdout, stderr, .. } = self.options;
        let selection = Selection { stdout, stderr, ..Selection::ALL };
        let Ok(mut reader) = self.container.streams.log().read(selection).await else {
            return true;
        };
        while let Ok(Some(entry)) = reader.next().await {
            if client.write(output(entry.source), entry.text.as_bytes()).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// The stream of a frame.
#[must_use]
pub fn output(source: Source) -> Output {
    match source {
        Source::Stdout => Output::Stdout,
        Source::Stderr => Output::Stderr,
    }
}

#[cfg(test)]
mod tests;
