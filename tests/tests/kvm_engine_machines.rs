//! The engine's machines over guests of a few instructions: the test plays the agent.

mod engine_host;

use std::fs;
use std::path::Path;
use std::time::Duration;

use agent_protocol::frame::{self, Decoder, Next};
use agent_protocol::message::{FromAgent, Hello, Reply, Request, ToAgent};
use agent_protocol::version;
use anyhow::{Context, bail, ensure};
use engine::sandbox::{Adopted, GuestOverrides, Sandbox, SandboxError, SandboxSpec};
use engine_host::Host;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tests::{TinyGuest, program, wait_for_end};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use vm_spec::{MachineEnd, Mib};

const LIMIT: Duration = Duration::from_secs(30);
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl Host {
    /// With a guest that does nothing.
    fn new() -> anyhow::Result<Self> {
        let guest = |folder: &Path| {
            let initrd = folder.join("initrd");
            fs::write(&initrd, "nothing")?;
            Ok(GuestOverrides {
                kernel: Some(TinyGuest::Deaf.write_kernel(folder)?),
                initrd: Some(initrd),
                ..GuestOverrides::default()
            })
        };
        Self::with(guest, program("bulkhead-vmm")?, LIMIT)
    }

    fn is_empty(&self) -> anyhow::Result<bool> {
        Ok(fs::read_dir(self.paths.machines())?.next().is_none())
    }

    /// Calls the engine as an agent does that has begun to serve.
    async fn call(&self, id: &str) -> anyhow::Result<UnixStream> {
        let folder = self.paths.machine(id);
        TinyGuest::await_hello(&folder)?;
        let mut stream = UnixStream::connect(folder.join("vsock.sock_1024")).await?;
        ensure!(matches!(next(&stream).await?.request, Some(Request::Open(_))));
        let hello = Hello { versions: Some(version::OURS), ..Hello::default() };
        let mut bytes = Vec::new();
        frame::encode(&FromAgent { id: 0, reply: Some(Reply::Hello(hello)) }, &mut bytes)?;
        stream.write_all(&bytes).await?;
        Ok(stream)
    }

    /// A machine whose agent has called.
    async fn start(&self, id: &str) -> anyhow::Result<(Sandbox, UnixStream)> {
        let spec = spec(id);
        // The start has done all until it waits for the call when the call is made.
        let (machine, agent) = tokio::join!(biased; self.machines.start(&spec), self.call(id));
        Ok((machine?, agent?))
    }
}

fn spec(id: &str) -> SandboxSpec {
    SandboxSpec {
        id: id.to_owned(),
        cpus: 1,
        memory: Mib(32),
        disks: Vec::new(),
        shares: Vec::new(),
        cards: Vec::new(),
    }
}

async fn next(stream: &UnixStream) -> anyhow::Result<ToAgent> {
    struct NonBlocking<'a>(&'a UnixStream);
    impl std::io::Read for NonBlocking<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.try_read(buffer)
        }
    }
    let mut decoder = Decoder::default();
    loop {
        stream.readable().await?;
        match decoder.read(&mut NonBlocking(stream))? {
            Next::Message(message) => return Ok(message),
            Next::Pending => {}
            Next::End => bail!("the engine has closed the connection"),
        }
    }
}

/// The process of the machine's monitor.
fn monitor(machine: &Sandbox) -> anyhow::Result<Pid> {
    let monitor = machine.folder().record()?.monitor.context("no monitor is on record")?;
    Pid::from_raw(monitor.pid.try_into()?).context("0 is no process")
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn machine_is_paused_resumed_and_ended_and_leaves_nothing() -> anyhow::Result<()> {
    let host = Host::new()?;
    runtime()?.block_on(async {
        let (machine, _agent) = host.start(ID).await?;
        let second = host.machines.start(&spec(ID)).await;
        ensure!(matches!(second, Err(SandboxError::Running(_))), "{second:?}");
        machine.pause().await?;
        machine.resume().await?;
        ensure!(machine.end().is_none());
        let end = machine.kill().await?;
        assert_eq!(end.end, Some(MachineEnd::Stopped));
        assert_eq!(machine.console(), "\nhello");
        machine.discard();
        ensure!(host.is_empty()?);
        Ok(())
    })
}

#[test]
fn machine_outlives_the_engine_and_is_found_again() -> anyhow::Result<()> {
    let host = Host::new()?;
    // The first engine's tasks end with its runtime.
    let first = runtime()?;
    let pid = first.block_on(async { monitor(&host.start(ID).await?.0) })?;
    drop(first);
    runtime()?.block_on(async {
        // This guest serves nothing, so the engine waits for a call after it was refused.
        let (adopted, agent) = tokio::join!(biased; host.machines.adopt(ID), host.call(ID));
        let _agent = agent?;
        let Adopted::Running(machine) = adopted? else { bail!("it was not found") };
        assert_eq!(monitor(&machine)?, pid);
        kill_process(pid, Signal::KILL)?;
        let end = tokio::time::timeout(LIMIT, machine.ended()).await?;
        assert_eq!((end.end, end.status), (None, None), "the monitor was killed");
        ensure!(matches!(host.machines.adopt(ID).await?, Adopted::Ended(_)));
        host.machines.end(ID).await?;
        host.machines.end(ID).await?;
        ensure!(matches!(host.machines.adopt(ID).await?, Adopted::Gone));
        ensure!(host.is_empty()?);
        Ok(())
    })
}

#[test]
fn guest_without_an_agent_is_given_up_with_what_its_console_said() -> anyhow::Result<()> {
    let host = Host::new()?;
    runtime()?.block_on(async {
        let machines = host.machines.clone().with_boot_limit(Duration::from_secs(2));
        let Err(error) = machines.start(&spec(ID)).await else { bail!("nobody called") };
        let text = "the agent in the machine did not call within 2s\nhello";
        assert_eq!(error.to_string(), text);
        ensure!(host.is_empty()?);
        Ok(())
    })
}

#[test]
fn start_that_is_given_up_leaves_neither_machine_nor_folder() -> anyhow::Result<()> {
    let host = Host::new()?;
    runtime()?.block_on(async {
        let (spec, folder) = (spec(ID), host.paths.machine(ID));
        let mut start = Box::pin(host.machines.start(&spec));
        ensure!(waits_after_a_poll(&mut start).await, "it waits for the agent");
        let record = fs::read_to_string(folder.join("record.json"))?;
        let record: serde_json::Value = serde_json::from_str(&record)?;
        let pid = record["monitor"]["pid"].as_i64().context("no monitor is on record")?;
        let pid = Pid::from_raw(pid.try_into()?).context("0 is no process")?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        drop(start);
        wait_for_end(&process, LIMIT)?;
        ensure!(host.is_empty()?);
        Ok(())
    })
}

/// Polls a future once; tells whether it waits.
async fn waits_after_a_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[test]
fn machines_of_no_container_are_ended_and_others_stay() -> anyhow::Result<()> {
    let host = Host::new()?;
    let other = "f".repeat(64);
    runtime()?.block_on(async {
        let (kept, _agent) = host.start(ID).await?;
        let (lost, _other_agent) = host.start(&other).await?;
        let ended = host.machines.end_others([ID]).await?;
        assert_eq!(ended, ["f".repeat(20)]);
        let end = tokio::time::timeout(LIMIT, lost.ended()).await?;
        assert_eq!(end.end, None);
        ensure!(kept.end().is_none());
        kept.kill().await?;
        Ok(())
    })
}

#[test]
fn monitor_that_fails_is_told_with_its_reason() -> anyhow::Result<()> {
    let host = Host::new()?;
    runtime()?.block_on(async {
        let mut spec = spec(ID);
        let path = "/nonexistent/disk".into();
        let content = engine::sandbox::DiskContent::Writable(path);
        spec.disks.push(engine::sandbox::Disk { serial: "writable".to_owned(), content });
        let Err(error) = host.machines.start(&spec).await else { bail!("it has no disk") };
        let text = error.to_string();
        ensure!(
            text.contains("before it was ready") && text.contains("/nonexistent/disk"),
            "{text}"
        );
        ensure!(host.is_empty()?);
        Ok(())
    })
}
