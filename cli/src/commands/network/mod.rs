//! Networks.

mod pools;

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::container::ps::short;
use super::container::{labels, life, pairs, show};
use crate::engine::{Engine, Query, for_each, with_engine};
use crate::output;
use crate::rows::{Column, Layout, at, row};

#[derive(Subcommand)]
pub(crate) enum Group {
    /// Connect a container to a network
    Connect(ConnectArgs),
    /// Make a network
    Create(CreateArgs),
    /// Disconnect a container from a network
    Disconnect(DisconnectArgs),
    /// Show everything about networks
    Inspect(show::InspectArgs),
    /// List networks
    #[command(alias = "list")]
    Ls(LsArgs),
    /// Remove networks
    #[command(alias = "remove")]
    Rm(RmArgs),
    /// Remove networks that no container uses
    Prune(life::PruneArgs),
}

/// Connects a container.
#[derive(clap::Args)]
pub(crate) struct ConnectArgs {
    /// Further name in the network
    #[arg(long)]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long)]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long)]
    ip6: Option<String>,
    /// Name or id of the network
    network: String,
    /// Name or id of the container
    container: String,
}

/// Makes a network.
#[derive(clap::Args)]
pub(crate) struct CreateArgs {
    /// Driver: bridge or user (which are one), or kernel-bridge for root
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Addresses, such as 172.30.0.0/16
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<String>,
    /// The gateway's address
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Addresses for containers without one of their own choice
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<String>,
    /// Address that no container gets
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,
    /// No way out
    #[arg(long)]
    internal: bool,
    /// IPv6 too
    #[arg(long)]
    ipv6: bool,
    /// Let containers be connected by hand
    #[arg(long)]
    attachable: bool,
    /// Option for the driver
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Label: NAME[=VALUE]
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    #[command(flatten)]
    rare: RareOptions,
    /// Name
    name: String,
}

/// Docker's further flags; the engine says what it thinks of them.
#[derive(clap::Args)]
pub(crate) struct RareOptions {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = crate::flags::boolean)]
    ipv4: Option<bool>,
    #[arg(long, hide = true)]
    config_only: bool,
    #[arg(long, hide = true)]
    config_from: Option<String>,
    #[arg(long, hide = true)]
    ingress: bool,
    #[arg(long, hide = true)]
    scope: Option<String>,
    #[arg(long, hide = true, default_value = "default")]
    ipam_driver: String,
    #[arg(long, hide = true)]
    ipam_opt: Vec<String>,
}

/// Disconnects a container.
#[derive(clap::Args)]
pub(crate) struct DisconnectArgs {
    /// Even if the container is not there
    #[arg(short, long)]
    force: bool,
    /// Name or id of the network
    network: String,
    /// Name or id of the container
    container: String,
}

/// Lists networks.
#[derive(clap::Args)]
pub(crate) struct LsArgs {
    /// Only those that match: driver=, id=, label=, name=, type=
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    layout: Layout,
}

/// Removes networks.
#[derive(clap::Args)]
pub(crate) struct RmArgs {
    /// Do not fail for those that are not there
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true)]
    networks: Vec<String>,
}

const COLUMNS: [Column; 4] =
    [("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];

pub(crate) fn run(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        match group {
            Group::Connect(args) => connect(engine, args).await,
            Group::Create(args) => create(engine, args).await,
            Group::Disconnect(args) => {
                let body = json!({ "Container": args.container, "Force": args.force });
                let path = Query::path(&["networks", &args.network, "disconnect"]);
                engine.act_with(Method::POST, path.as_str(), &body).await?;
                Ok(ExitCode::SUCCESS)
            }
            Group::Inspect(mut args) => {
                args.only("network");
                show::inspect(engine, args).await
            }
            Group::Ls(args) => ls(engine, args).await,
            Group::Rm(args) => {
                let (engine, force) = (&engine, args.force);
                for_each(&args.networks, |name| async move {
                    let path = Query::path(&["networks", name]);
                    match engine.act(Method::DELETE, path.as_str()).await {
                        Err(error) if force && error.is(hyper::StatusCode::NOT_FOUND) => Ok(()),
                        result => Ok(result?),
                    }
                })
                .await
            }
            Group::Prune(args) => {
                let question = "This removes all networks that no container uses.";
                life::prune(&engine, "networks", question, &args, &[]).await
            }
        }
    })
}

async fn connect(engine: Engine, args: ConnectArgs) -> anyhow::Result<ExitCode> {
    let mut endpoint = json!({ "Aliases": args.alias });
    if args.ip.is_some() || args.ip6.is_some() {
        endpoint["IPAMConfig"] = json!({ "IPv4Address": args.ip, "IPv6Address": args.ip6 });
    }
    let body = json!({ "Container": args.container, "EndpointConfig": endpoint });
    let path = Query::path(&["networks", &args.network, "connect"]);
    engine.act_with(Method::POST, path.as_str(), &body).await?;
    Ok(ExitCode::SUCCESS)
}

async fn create(engine: Engine, args: CreateArgs) -> anyhow::Result<ExitCode> {
    let pools = pools::chosen(
        &args.subnet,
        &args.ip_range,
        &args.gateway,
        &pairs("aux-address", &args.aux_address)?,
    )?;
    let rare = &args.rare;
    let mut body = json!({
        "Name": args.name, "Driver": args.driver, "Internal": args.internal,
        "Attachable": args.attachable, "EnableIPv6": args.ipv6, "Ingress": rare.ingress,
        "ConfigOnly": rare.config_only, "Scope": rare.scope.clone().unwrap_or_default(),
        "Options": pairs("opt", &args.opt)?, "Labels": labels(&args.label, &[])?,
        "IPAM": {
            "Driver": rare.ipam_driver, "Options": pairs("ipam-opt", &rare.ipam_opt)?,
            "Config": pools,
        },
    });
    if let Some(ipv4) = rare.ipv4 {
        body["EnableIPv4"] = json!(ipv4);
    }
    if let Some(other) = &rare.config_from {
        body["ConfigFrom"] = json!({ "Network": other });
    }
    let made: Value = engine.post("/networks/create", &body).await?;
    output::line(&at(&made, "/Id"))?;
    Ok(ExitCode::SUCCESS)
}

async fn ls(engine: Engine, args: LsArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["networks"]).filters(&args.filter)?;
    let list: Vec<Value> = engine.get(path.as_str()).await?;
    let rows = list.iter().map(|network| {
        row([
            ("ID", short(&at(network, "/Id"), args.no_trunc)),
            ("Name", at(network, "/Name")),
            ("Driver", at(network, "/Driver")),
            ("Scope", at(network, "/Scope")),
            ("Internal", at(network, "/Internal")),
            ("IPv6", at(network, "/EnableIPv6")),
        ])
    });
    let rows: Vec<_> = rows.collect();
    args.layout.list(&COLUMNS, &rows, args.quiet.then_some("ID"))
}
