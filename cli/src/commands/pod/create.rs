//! `bulkhead pod create`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::commands::container::{labels, ports};
use crate::engine::Engine;
use crate::output;
use crate::rows::at;
use crate::units;

/// Makes a pod.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct CreateArgs {
    /// Name (default: one is made up)
    #[arg(long)]
    name: Option<String>,
    /// Host name of all its containers (default: the beginning of its id)
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// Processors of its machine, such as 1.5
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<f64>,
    /// Memory that its containers can use together, such as 512m
    #[arg(short, long, value_name = "SIZE", value_parser = units::size)]
    memory: Option<i64>,
    /// Network to connect to: a name, or none
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Further name in its networks
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// Publish a port: [[ADDRESS:]PORT:]POD-PORT[/PROTOCOL]
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// DNS server
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Let its containers share System V's and POSIX's queues, semaphores and memory segments, and
    /// /dev/shm
    #[arg(long)]
    share_ipc: bool,
    /// Label: NAME[=VALUE]
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(super) async fn create(engine: &Engine, args: CreateArgs) -> anyhow::Result<ExitCode> {
    let mut ports = Vec::new();
    for (port, bindings) in ports::bindings(&args.publish)? {
        for binding in bindings.unwrap_or_default() {
            let set = |text: Option<String>| text.filter(|text| !text.is_empty());
            ports.push(json!({
                "port": port,
                "host_address": set(binding.host_ip),
                "host_port": set(binding.host_port),
            }));
        }
    }
    let memory_mib = args.memory.map(|bytes| u64::try_from(bytes).unwrap_or(0).div_ceil(1 << 20));
    let body = json!({
        "name": args.name, "hostname": args.hostname, "cpus": args.cpus, "memory_mib": memory_mib,
        "networks": args.network, "aliases": args.network_alias, "ports": ports, "dns": args.dns,
        "share_ipc": args.share_ipc, "labels": labels(&args.label, &[])?,
    });
    let made: Value = engine.post("/pods", &body).await?;
    output::line(&at(&made, "/id"))?;
    Ok(ExitCode::SUCCESS)
}
