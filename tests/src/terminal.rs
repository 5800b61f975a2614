//! A terminal, and the person before it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

/// A pseudo-terminal.
pub struct Terminal {
    /// The person's side.
    keyboard: File,
    /// The program's side.
    line: OwnedFd,
    before: Termios,
    said: Vec<u8>,
}

/// What must be as it was.
fn modes(settings: &Termios) -> [u32; 4] {
    [
        settings.input_modes.bits(),
        settings.output_modes.bits(),
        settings.control_modes.bits(),
        settings.local_modes.bits(),
    ]
}

impl Terminal {
    /// A terminal with the modes that shells leave.
    ///
    /// # Errors
    ///
    /// There are no more.
    pub fn new() -> anyhow::Result<Self> {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        let name = ptsname(&keyboard, Vec::new())?;
        let line = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let before = tcgetattr(&line)?;
        Ok(Self { keyboard: keyboard.into(), line, before, said: Vec::new() })
    }

    /// Has a command talk to this terminal. Run it under `setsid --ctty` to have its signals too.
    ///
    /// # Errors
    ///
    /// There are no more descriptors.
    pub fn connect<'a>(&self, command: &'a mut Command) -> anyhow::Result<&'a mut Command> {
        let line = || self.line.try_clone().map(Stdio::from);
        Ok(command.stdin(line()?).stdout(line()?).stderr(line()?))
    }

    /// Types `text`.
    ///
    /// # Errors
    ///
    /// Nobody takes it.
    pub fn write(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.keyboard.write_all(text.as_bytes())?)
    }

    /// Waits until `text` is on the screen.
    ///
    /// # Errors
    ///
    /// It was not within `limit`.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        while !self.text().contains(text) {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now()))?;
            let ready = poll(&mut [PollFd::new(&self.keyboard, PollFlags::IN)], Some(&left))?;
            if ready == 0 {
                bail!("the screen did not show {text:?} within {limit:?}, but:\n{}", self.text());
            }
            let mut buffer = [0; 4096];
            let count = self.keyboard.read(&mut buffer).context("read the screen")?;
            self.said.extend_from_slice(&buffer[..count]);
        }
        Ok(())
    }

    /// Everything that was on the screen until the last wait.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Whether characters reach the program as they are typed.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn is_raw(&self) -> anyhow::Result<bool> {
        let now = tcgetattr(&self.line)?.local_modes;
        Ok(!now.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG))
    }

    /// Whether its modes are those that it began with.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn is_restored(&self) -> anyhow::Result<bool> {
        Ok(modes(&tcgetattr(&self.line)?) == modes(&self.before))
    }
}
