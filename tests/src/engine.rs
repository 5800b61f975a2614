//! The engine as a program, and clients of it.

use std::env;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::kernel::{Format, Kernel, image};
use crate::process::{Process, program};

/// How long the engine may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// An engine with folders of its own, and our own kernel in its machines. Its containers end with
/// this value.
#[derive(Debug)]
pub struct TestEngine {
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl TestEngine {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    ///
    /// It was not built, or does not serve; what it logged is in the message.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-engine-").tempdir()?;
        let mut engine = Self { process: None, folder };
        engine.resume()?;
        Ok(engine)
    }

    /// Starts it again, on the same folders, after [`Self::stop`] or [`Self::kill`].
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let notify = self.folder.path().join("notify");
        // Of the engine before.
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify)?;
        ready.set_read_timeout(Some(START_LIMIT))?;
        let kernel = Kernel::Bulkhead612;
        let log = File::options().create(true).append(true).open(self.log())?;
        let more = env::var("BULKHEAD_TEST_CMDLINE").unwrap_or_default();
        let process = Process::spawn(
            Command::new(program("bulkhead-engine")?)
                .env("NOTIFY_SOCKET", &notify)
                .arg("--root")
                .arg(self.folder.path().join("state"))
                .arg("--runtime")
                .arg(self.folder.path().join("run"))
                .arg("--kernel")
                .arg(kernel.file(Format::Vmlinux)?)
                .arg("--initrd")
                .arg(kernel.small_initramfs()?)
                .arg("--kernel-args")
                .arg(more)
                .args(["--boot-timeout", "150", "--log-level", "debug"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
        )?;
        let mut message = [0; 256];
        let read = ready.recv(&mut message);
        let told = read.as_ref().map(|length| message.get(..*length).unwrap_or_default());
        if !told.is_ok_and(|told| told.starts_with(b"READY=1")) {
            bail!("the engine does not serve: {read:?}\n{}", self.logged());
        }
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end; its containers run on.
    ///
    /// # Errors
    ///
    /// It does not run, or does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the engine does not run")?;
        process.signal(Signal::TERM)?;
        let status = process.wait(STOP_LIMIT)?;
        ensure!(status.success(), "the engine ended with {status}\n{}", self.logged());
        Ok(())
    }

    /// Kills it, as the kernel does for want of memory.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the engine does not run")?;
        process.signal(Signal::KILL)?;
        process.wait(STOP_LIMIT).map(drop)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Its folders.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where clients find it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("run/bulkhead.sock").display())
    }

    /// A client's program with these arguments.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env("DOCKER_HOST", self.host())
            .env("BULKHEAD_HOST", self.host())
            .env("DOCKER_CONFIG", self.folder.path().join("docker"))
            .args(arguments);
        command
    }

    /// Docker's command line with these arguments.
    ///
    /// # Errors
    ///
    /// It is not installed.
    pub fn docker(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.client("docker", arguments);
        command.output().with_context(|| format!("run docker {arguments:?}"))
    }

    /// Standard output of `docker` with these arguments, which must succeed.
    ///
    /// # Errors
    ///
    /// It did not succeed.
    pub fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.docker(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "docker {arguments:?}: {}\n{errors}\n{}",
            output.status,
            self.logged()
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// What has happened and passes the filter, each in this format.
    ///
    /// # Errors
    ///
    /// The engine does not tell.
    pub fn events(&self, filter: &str, format: &str) -> anyhow::Result<Vec<String>> {
        // Whole seconds: this one is to be among them.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let until = (now + 1).to_string();
        let within = ["events", "--since", "1h", "--until", &until, "--filter", filter];
        let said = self.text(&[&within[..], &["--format", format]].concat())?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Loads the image `busybox`.
    ///
    /// # Errors
    ///
    /// It was not built, or not taken.
    pub fn load_busybox(&self) -> anyhow::Result<()> {
        self.load("busybox")
    }

    /// Loads an image that `guest-images/build NAME-image` has made.
    ///
    /// # Errors
    ///
    /// It was not built, or not taken.
    pub fn load(&self, name: &str) -> anyhow::Result<()> {
        let archive = container_image(name)?;
        self.text(&["load", "-i", &archive.display().to_string()]).map(drop)
    }
}

/// The archive of an image that `guest-images/build NAME-image` has made.
///
/// # Errors
///
/// It was not built.
pub fn container_image(name: &str) -> anyhow::Result<PathBuf> {
    image(&format!("{name}-image"), &format!("{name}.tar"))
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        if self.process.is_none() && self.resume().is_err() {
            return;
        }
        // After a test that failed there may be some.
        let containers = self.docker(&["ps", "-aq"]).map(|output| output.stdout);
        let containers = String::from_utf8(containers.unwrap_or_default()).unwrap_or_default();
        for container in containers.lines() {
            let _ = self.docker(&["rm", "-fv", container]);
        }
        let _ = self.stop();
    }
}
