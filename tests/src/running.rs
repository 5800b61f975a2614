//! A machine that has booted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_protocol::client::{Client as Agent, Connector, ExecSpec};
use anyhow::{Context, bail, ensure};
use api::vm::client::Client as Api;
use rustix::process::Signal;
use tempfile::TempDir;
use vm_spec::MachineEnd;

use crate::console::Console;
use crate::process::Process;

/// How long a single request may take.
const API_LIMIT: Duration = Duration::from_secs(30);

/// A machine whose agent serves. It is killed with this value, and its console and log are
/// printed.
#[derive(Debug)]
pub struct RunningVm {
    monitor: Process,
    agent: Agent,
    connector: Connector,
    console: Console,
    api: Api,
    folder: TempDir,
}

impl RunningVm {
    pub(crate) fn new(
        monitor: Process,
        agent: Agent,
        connector: Connector,
        console: Console,
        folder: TempDir,
    ) -> Self {
        let api = Api::new(folder.path().join("api.sock")).with_timeout(API_LIMIT);
        Self { monitor, agent, connector, console, api, folder }
    }

    /// Runs a line of shell in the guest and gives what it printed, without the last newline.
    ///
    /// # Errors
    ///
    /// It did not end with status 0.
    pub fn exec(&self, line: &str) -> anyhow::Result<String> {
        let spec = ExecSpec::new("/bin/sh").args(["-c", line]);
        let output = self
            .agent
            .run(&spec, b"")
            .with_context(|| format!("run {line:?}"))
            .with_context(|| self.account())?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success(),
            "{line:?} ended with {}, having said:\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text.trim_end().to_owned())
    }

    /// Mounts the disk of [`TestVm::with_tools`](crate::TestVm::with_tools) at `/tools`: programs
    /// are in `/tools/bin`.
    ///
    /// # Errors
    ///
    /// There is no such disk.
    pub fn mount_tools(&self) -> anyhow::Result<()> {
        self.exec(
            "disk=$(cd /sys/block && grep -lx tools */serial | cut -d/ -f1) && mkdir /tools && \
             mount -t erofs -o ro /dev/$disk /tools",
        )?;
        Ok(())
    }

    /// Runs a line of shell after which the guest may be no more.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(&self, line: &str) -> anyhow::Result<agent_protocol::client::ExecSession> {
        Ok(self.agent.exec(&ExecSpec::new("/bin/sh").args(["-c", line]).detach())?)
    }

    /// The client of the machine's agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Where the guest's vsock ports are.
    pub fn vsock(&self) -> &Connector {
        &self.connector
    }

    /// The client of the monitor's REST API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The serial port.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The machine's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sends the monitor a signal.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.monitor.signal(signal)
    }

    /// The value of one of the monitor's metrics, with its labels as Prometheus writes them.
    ///
    /// # Errors
    ///
    /// There is no such metric.
    pub fn metric(&self, sample: &str) -> anyhow::Result<u64> {
        let text = self.api().metrics()?;
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("there is no {sample} in:\n{text}"))?.parse()?)
    }

    /// The folder of the monitor's process, as in `proc(5)`.
    pub fn process_folder(&self) -> PathBuf {
        format!("/proc/{}", self.monitor.pid().as_raw_nonzero()).into()
    }

    /// What the monitor's process holds in memory, in KiB.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.process_folder().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let value = line.and_then(|line| line.split_whitespace().next());
        Ok(value.context("there is no VmRSS")?.parse()?)
    }

    /// Waits at most `limit` for the machine's end and tells how it ended.
    ///
    /// # Errors
    ///
    /// It did not end in time, or its monitor failed.
    pub fn wait_end(&mut self, limit: Duration) -> anyhow::Result<MachineEnd> {
        let status = self.monitor.wait(limit).with_context(|| self.account())?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        match code.and_then(MachineEnd::from_exit_status) {
            Some(end) => Ok(end),
            None => bail!("the monitor ended with {status}\n{}", self.account()),
        }
    }

    /// The console and the monitor's messages.
    fn account(&self) -> String {
        account(self.folder.path(), &self.console)
    }
}

impl Drop for RunningVm {
    fn drop(&mut self) {
        // A test that fails by an error does not panic, so it is all printed each time. It is
        // seen where the test failed.
        let ended = self.monitor.wait(Duration::ZERO);
        #[expect(clippy::print_stderr, reason = "the harness keeps it for failed tests")]
        {
            eprintln!("{}", self.account());
            if let Ok(status) = ended {
                eprintln!("the monitor had ended with {status}");
            }
        }
    }
}

/// What a machine's console and its monitor have said.
pub(crate) fn account(folder: &Path, console: &Console) -> String {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    format!("console:\n{}\nmonitor's log:\n{}{}", console.text(), read("log"), read("stderr"))
}
