//! Volumes.

use std::process::ExitCode;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::container::{labels, life, pairs, show};
use crate::engine::{Query, for_each, with_engine};
use crate::output;
use crate::rows::{Column, LABELS, Layout, Row, at, row};

#[derive(Subcommand)]
pub(crate) enum Group {
    /// Make a volume
    Create(CreateArgs),
    /// Show everything about volumes
    Inspect(show::InspectArgs),
    /// List volumes
    #[command(alias = "list")]
    Ls(LsArgs),
    /// Remove volumes
    #[command(alias = "remove")]
    Rm(RmArgs),
    /// Remove volumes that no container uses
    Prune(VolumePruneArgs),
}

/// Makes a volume.
#[derive(clap::Args)]
pub(crate) struct CreateArgs {
    /// Driver
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Option for the driver
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Label: NAME[=VALUE]
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Name (default: one is made up)
    name: Option<String>,
}

/// Lists volumes.
#[derive(clap::Args)]
pub(crate) struct LsArgs {
    /// Only those that match: dangling=, driver=, label=, name=
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    layout: Layout,
}

/// Removes volumes.
#[derive(clap::Args)]
pub(crate) struct RmArgs {
    /// Do not fail for those that are not there
    #[arg(short, long)]
    force: bool,
    /// Names
    #[arg(required = true)]
    volumes: Vec<String>,
}

/// Removes unused volumes.
#[derive(clap::Args)]
pub(crate) struct VolumePruneArgs {
    /// Those with names too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    prune: life::PruneArgs,
}

const COLUMNS: [Column; 2] = [("DRIVER", "Driver"), ("VOLUME NAME", "Name")];

pub(crate) fn run(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        match group {
            Group::Create(args) => {
                let body = json!({
                    "Name": args.name, "Driver": args.driver,
                    "DriverOpts": pairs("opt", &args.opt)?, "Labels": labels(&args.label, &[])?,
                });
                let made: Value = engine.post("/volumes/create", &body).await?;
                output::line(&at(&made, "/Name"))?;
                Ok(ExitCode::SUCCESS)
            }
            Group::Inspect(mut args) => {
                args.only("volume");
                show::inspect(engine, args).await
            }
            Group::Ls(args) => {
                let path = Query::path(&["volumes"]).filters(&args.filter)?;
                let list: Value = engine.get(path.as_str()).await?;
                let volumes = list["Volumes"].as_array().into_iter().flatten();
                let rows: Vec<_> = volumes.map(describe).collect();
                args.layout.list(&COLUMNS, &rows, args.quiet.then_some("Name"))
            }
            Group::Rm(args) => {
                let (engine, force) = (&engine, args.force);
                for_each(&args.volumes, |name| async move {
                    let path = Query::path(&["volumes", name]).flag("force", force);
                    Ok(engine.act(Method::DELETE, path.as_str()).await?)
                })
                .await
            }
            Group::Prune(args) => {
                let (question, filters) = if args.all {
                    (
                        "This removes all volumes that no container uses.",
                        vec!["all=true".to_owned()],
                    )
                } else {
                    ("This removes all volumes without a name that no container uses.", Vec::new())
                };
                life::prune(&engine, "volumes", question, &args.prune, &filters).await
            }
        }
    })
}

/// A volume with the fields that Docker's templates know.
pub(crate) fn describe(volume: &Value) -> Row {
    let labels = volume["Labels"].as_object().into_iter().flatten();
    let labels: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", crate::rows::text(value))).collect();
    let mut row = row([
        ("Driver", at(volume, "/Driver")),
        ("Name", at(volume, "/Name")),
        ("Mountpoint", at(volume, "/Mountpoint")),
        ("Scope", at(volume, "/Scope")),
        ("Labels", labels.join(",")),
        ("Availability", "N/A".to_owned()),
        ("Group", "N/A".to_owned()),
        ("Status", "N/A".to_owned()),
        ("Links", "N/A".to_owned()),
        ("Size", "N/A".to_owned()),
    ]);
    row.insert(LABELS.to_owned(), volume["Labels"].clone());
    row
}
