//! The engine as a program, and clients of it.

use std::env;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::engine_requests::{Answer, request};
use crate::kernel::{Format, Kernel, image};
use crate::plain_user::PlainUser;
use crate::process::{Process, program};
use crate::tiny_guest::TinyGuest;

/// How long the engine may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// An engine with folders of its own. Its containers end with this value.
#[derive(Debug)]
pub struct TestEngine {
    process: Option<Process>,
    guest: Guest,
    user: Option<PlainUser>,
    folder: tempfile::TempDir,
}

/// What the machines boot.
#[derive(Clone, Copy, Debug)]
enum Guest {
    /// Our own kernel.
    Bulkhead,
    /// A guest without an agent: no container's start succeeds.
    Tiny(TinyGuest),
}

impl TestEngine {
    /// Starts one, with our own kernel in its machines, and waits until it serves.
    ///
    /// # Errors
    ///
    /// It was not built, or does not serve; what it logged is in the message.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Guest::Bulkhead, None)
    }

    /// As [`Self::start`], with a guest that runs on any KVM and has no agent.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with_tiny_guest(guest: TinyGuest) -> anyhow::Result<Self> {
        Self::start_with(Guest::Tiny(guest), None)
    }

    /// As [`Self::start`], as a user without any privileges, in the folders that such a user has.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_as_plain_user() -> anyhow::Result<Self> {
        Self::start_with(Guest::Bulkhead, Some(PlainUser::new()?))
    }

    fn start_with(guest: Guest, user: Option<PlainUser>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-engine-").tempdir()?;
        fs::create_dir(folder.path().join("run"))?;
        if let Some(user) = &user {
            user.give(folder.path())?;
            user.give(&folder.path().join("run"))?;
        }
        let mut engine = Self { process: None, guest, user, folder };
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
        if let Some(user) = &self.user {
            user.give(&notify)?;
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        let process = Process::spawn(
            self.command()?
                .env("NOTIFY_SOCKET", &notify)
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

    /// The engine's program, on its folders.
    ///
    /// # Errors
    ///
    /// It, or what it boots, was not built.
    pub fn command(&self) -> anyhow::Result<Command> {
        let (kernel, initrd) = self.boots()?;
        let mut command = match &self.user {
            // It finds its folders as it does for any user.
            Some(user) => {
                let mut command = user.command(&user.program("bulkhead-engine")?);
                command.env("HOME", self.folder.path().join("home"));
                command.env("XDG_RUNTIME_DIR", self.folder.path().join("run"));
                command
            }
            None => {
                let mut command = Command::new(program("bulkhead-engine")?);
                command.env("BULKHEAD_ROOT", self.state());
                command.env("BULKHEAD_RUNTIME", self.runtime());
                command
            }
        };
        command.arg("--kernel").arg(kernel).arg("--initrd").arg(initrd).arg("--kernel-args");
        command.arg(env::var("BULKHEAD_TEST_CMDLINE").unwrap_or_default());
        command.args(["--boot-timeout", "90", "--log-level", "debug"]);
        Ok(command)
    }

    /// Kernel and initial file system, where the engine may read them.
    fn boots(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let (kernel, initrd) = match self.guest {
            Guest::Tiny(guest) => {
                let initrd = self.folder.path().join("initrd");
                fs::write(&initrd, "nothing")?;
                (guest.write_kernel(self.folder.path())?, initrd)
            }
            Guest::Bulkhead => {
                let kernel = Kernel::Bulkhead612;
                (kernel.file(Format::Vmlinux)?, kernel.small_initramfs()?)
            }
        };
        match &self.user {
            Some(user) => Ok((user.copy(&kernel, "kernel")?, user.copy(&initrd, "initrd")?)),
            None => Ok((kernel, initrd)),
        }
    }

    /// The engine's process.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn pid(&self) -> anyhow::Result<i32> {
        let process = self.process.as_ref().context("the engine does not run")?;
        Ok(process.pid().as_raw_nonzero().get())
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

    /// The folder of its state.
    pub fn state(&self) -> PathBuf {
        match self.user {
            Some(_) => self.folder.path().join("home/.local/share/bulkhead"),
            None => self.folder.path().join("state"),
        }
    }

    /// The folder of its sockets and machines.
    pub fn runtime(&self) -> PathBuf {
        match self.user {
            Some(_) => self.folder.path().join("run/bulkhead"),
            None => self.folder.path().join("run"),
        }
    }

    /// The socket of its API.
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("bulkhead.sock")
    }

    /// Where clients find it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A client's program with these arguments, run by the engine's user.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match &self.user {
            Some(user) => user.command(Path::new(program)),
            None => Command::new(program),
        };
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

    /// The ids of what this path lists; none if the engine does not tell.
    fn ids(&self, path: &str) -> Vec<String> {
        let answer = self.ask("GET", path, "").map(|answer| answer.body).unwrap_or_default();
        let listed = answer.as_array().into_iter().flatten();
        listed.filter_map(|one| one["id"].as_str()).map(str::to_owned).collect()
    }

    /// Sends its API a request with a body of JSON, or an empty one.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        request(&self.socket(), method, path, body.as_bytes())
    }

    /// Makes an image without any files, for containers that need not run.
    ///
    /// # Errors
    ///
    /// It is not taken.
    pub fn import_empty(&self, name: &str) -> anyhow::Result<()> {
        // Two empty blocks are the end of an archive.
        let path = format!("/images/create?fromSrc=-&repo={name}");
        let answer = request(&self.socket(), "POST", &path, &[0; 1024])?;
        let images = self.ask("GET", "/images/json", "")?;
        ensure!(images.body.to_string().contains(name), "{answer:?}, {images:?}");
        Ok(())
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
        let archive = match &self.user {
            Some(user) => user.copy(&archive, &format!("{name}.tar"))?,
            None => archive,
        };
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
        for pod in self.ids("/pods") {
            let _ = self.ask("DELETE", &format!("/pods/{pod}?force=true"), "");
        }
        for machine in self.ids("/vms") {
            let _ = self.ask("POST", &format!("/vms/{machine}/kill"), "");
            let _ = self.ask("DELETE", &format!("/vms/{machine}"), "");
        }
        let _ = self.stop();
    }
}
