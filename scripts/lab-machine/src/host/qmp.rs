//! QEMU's machine protocol over the standard input and output of its process.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

/// A conversation with one QEMU.
#[derive(Debug)]
pub struct Qmp {
    input: ChildStdin,
    output: ChildStdout,
    pending: Vec<u8>,
    events: Vec<Value>,
}

impl Qmp {
    /// Takes the greeting and enters command mode.
    pub fn open(input: ChildStdin, output: ChildStdout, limit: Duration) -> Result<Self> {
        let mut qmp = Self { input, output, pending: Vec::new(), events: Vec::new() };
        qmp.read(Instant::now() + limit)?;
        qmp.command("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs `name` and returns what it returned.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": name, "arguments": arguments }).to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes()).with_context(|| format!("Failed to send {name}"))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut message = self.read(deadline)?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refused {name}: {error}");
            }
            match message.get_mut("return") {
                Some(result) => return Ok(result.take()),
                None => self.events.push(message),
            }
        }
    }

    /// Waits for an event named `name` that `wanted` accepts.
    pub fn wait_for(
        &mut self,
        name: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let message = if self.events.is_empty() {
                let read = self.read(deadline);
                read.with_context(|| format!("No {name} came"))?
            } else {
                self.events.remove(0)
            };
            if message["event"] == name && wanted(&message["data"]) {
                return Ok(());
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return serde_json::from_slice(&line).context("QEMU sent something else than JSON");
            }
            self.wait_readable(deadline)?;
            let mut buffer = [0; 4096];
            let count = self.output.read(&mut buffer)?;
            if count == 0 {
                bail!("QEMU has ended");
            }
            self.pending.extend(buffer.iter().take(count));
        }
    }

    fn wait_readable(&self, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left)?;
        let mut fds = [PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::IN)];
        if poll(&mut fds, Some(&timeout))? == 0 {
            bail!("QEMU did not answer in time");
        }
        Ok(())
    }
}
