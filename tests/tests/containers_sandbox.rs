//! A container in a machine of the engine, without the engine around it: disks, agent, streams, the
//! machine's end, and an engine that comes back.

mod engine_host;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_protocol::message::{
    ContainerState, CreateContainer, Exec, ListContainers, Reply, Request, Rootfs, Stdio, Stream,
};
use anyhow::{Context, bail, ensure};
use engine::sandbox::{Adopted, Disk, DiskContent, Disks, GuestOverrides, Sandbox, SandboxSpec};
use engine_host::Host;
use tests::{Format, Kernel, program, tools_disk};
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;
use vm_spec::{MachineEnd, Mib};

const LIMIT: Duration = Duration::from_secs(200);
const ID: &str = "c0ffee";

impl Host {
    fn new() -> anyhow::Result<Self> {
        let monitor = env::var_os("BULKHEAD_VMM").map(PathBuf::from);
        let monitor = monitor.map_or_else(|| program("bulkhead-vmm"), Ok)?;
        let guest = |_: &Path| {
            Ok(GuestOverrides {
                kernel: Some(Kernel::Bulkhead612.file(Format::Vmlinux)?),
                initrd: Some(Kernel::Bulkhead612.small_initramfs()?),
                kernel_args: env::var("BULKHEAD_TEST_CMDLINE").ok(),
                ..GuestOverrides::default()
            })
        };
        Self::with(guest, monitor, LIMIT)
    }

    /// A machine with the test programs as an image of one layer.
    async fn start(&self) -> anyhow::Result<Sandbox> {
        let writable = self.paths.state().join("writable.ext4");
        if !writable.exists() {
            Disks::new(self.paths.disks()).make(256 << 20, &writable).await?;
        }
        let disk = |serial: &str, content| Disk { serial: serial.to_owned(), content };
        let spec = SandboxSpec {
            id: ID.to_owned(),
            cpus: 1,
            memory: Mib(256),
            disks: vec![
                disk("layers", DiskContent::Layers(vec![tools_disk()?])),
                disk("writable", DiskContent::Writable(writable)),
            ],
            shares: Vec::new(),
            cards: Vec::new(),
        };
        Ok(self.machines.start(&spec).await?)
    }
}

fn container(argv: &[&str]) -> Request {
    Request::CreateContainer(Box::new(CreateContainer {
        id: ID.to_owned(),
        rootfs: Some(Rootfs {
            layers_serial: "layers".to_owned(),
            layers: vec![1],
            writable_serial: "writable".to_owned(),
            ..Rootfs::default()
        }),
        process: Some(command(argv)),
        hostname: "box".to_owned(),
        ..CreateContainer::default()
    }))
}

fn command(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
        stdout: Stdio::Stream.into(),
        stderr: Stdio::Stream.into(),
        ..Exec::default()
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[test]
fn container_runs_to_its_end_and_what_it_wrote_is_there_in_its_next_machine() -> anyhow::Result<()>
{
    let host = Host::new()?;
    runtime()?.block_on(async {
        let machine = host.start().await?;
        let said = run(
            &machine,
            &["/usr/bin/socat", "-u", "OPEN:/proc/sys/kernel/hostname", "CREATE:/kept"],
        );
        assert_eq!(said.await?, "");
        let end = machine.power_off(LIMIT).await?;
        assert_eq!(end.end, Some(MachineEnd::PowerOff), "{end:?}");

        let machine = host.start().await?;
        assert_eq!(
            run(&machine, &["/usr/bin/socat", "-u", "OPEN:/kept", "STDOUT"]).await?,
            "box\n"
        );
        machine.kill().await?;
        Ok(())
    })
}

/// Runs a container that must succeed, and gives what it wrote.
async fn run(machine: &Sandbox, argv: &[&str]) -> anyhow::Result<String> {
    let agent = machine.agent();
    agent.act(container(argv)).await?;
    let session = agent.start_container(ID).await?.session;
    let (mut said, mut errors) = (String::new(), String::new());
    let mut stdout = agent.attach(session, Stream::Stdout).await?;
    let mut stderr = agent.attach(session, Stream::Stderr).await?;
    tokio::try_join!(stdout.read_to_string(&mut said), stderr.read_to_string(&mut errors))?;
    let end = agent.wait_container(ID).await?;
    ensure!((end.code, end.signal) == (0, 0), "{end:?}: {errors}");
    Ok(said)
}

#[test]
fn container_outlives_the_engine() -> anyhow::Result<()> {
    let host = Host::new()?;
    let first = runtime()?;
    let session = first.block_on(async {
        let machine = host.start().await?;
        let agent = machine.agent();
        agent.act(container(&["/usr/bin/socat", "-u", "PIPE:/nothing", "STDOUT"])).await?;
        anyhow::Ok(agent.start_container(ID).await?.session)
    })?;
    drop(first);
    runtime()?.block_on(async {
        let Adopted::Running(machine) = host.machines.adopt(ID).await? else {
            bail!("the machine was not found")
        };
        let agent = machine.agent();
        let reply = agent.request(Request::ListContainers(ListContainers {})).await?;
        let Reply::Containers(list) = reply else { bail!("{reply:?}") };
        let status = list.containers.first().context("the container is gone")?;
        assert_eq!((status.state(), status.session), (ContainerState::Running, session));
        let mut exec = command(&["/usr/bin/fio", "--version"]);
        exec.container = ID.to_owned();
        let mut running = agent.exec(exec).await?;
        let mut said = String::new();
        let stdout = running.streams.stdout.as_mut().context("it has no output")?;
        stdout.read_to_string(&mut said).await?;
        ensure!(said.starts_with("fio-"), "{said}");
        ensure!(running.wait().await?.success());
        machine.kill().await?;
        machine.discard();
        ensure!(matches!(host.machines.adopt(ID).await?, Adopted::Gone));
        Ok(())
    })
}
