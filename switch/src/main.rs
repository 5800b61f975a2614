//! The switch as a program.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use log::{LevelFilter, Log, Metadata, Record};
use rustix::process::{Resource, getrlimit, setrlimit};
use switch::{Settings, Switch};

/// The user-mode network switch of containers.
///
/// Serves all networks of an engine until it is told to end. It needs no privileges.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-switch", version)]
struct Args {
    /// Unix socket at which the engine speaks.
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// Unix socket at which the cards of machines connect.
    #[arg(long, value_name = "PATH")]
    ports: PathBuf,
    /// What to write to standard error: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
    /// The list of the host's name servers.
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// Address of the host that gateways and host.docker.internal lead to. Default: the one by
    /// which the host calls the world. Services at the loopback interface are reached only so.
    #[arg(long, value_name = "ADDRESS")]
    host_address: Vec<IpAddr>,
}

/// Writes each record as a line.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Nobody may be listening.
        let _ = writeln!(std::io::stderr(), "{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Each connection takes a descriptor: as many as the host allows.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("failed to raise the limit of open files: {error}");
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    log::set_max_level(args.log);
    log::set_logger(&Lines).context("failed to set up the log")?;
    allow_many_descriptors();
    let settings = Settings {
        resolv_conf: args.resolv_conf,
        host_addresses: args.host_address,
        ..Settings::default()
    };
    let mut switch = Switch::new(settings).context("failed to set up the switch")?;
    switch.listen_for_engine(&args.control)?;
    switch.listen_for_cards(&args.ports)?;
    log::info!("serves cards at {}", args.ports.display());
    switch.run().context("the switch has failed")
}
