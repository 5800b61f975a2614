//! Images.

mod archive;
pub(crate) mod list;
pub(crate) mod pull;

use std::process::ExitCode;

use clap::Subcommand;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::container::{life, show};
use crate::engine::{Engine, Query, with_engine};
use crate::output;
use crate::rows::at;

#[derive(Subcommand)]
pub(crate) enum Group {
    /// List images
    #[command(alias = "list")]
    Ls(list::Args),
    /// Get an image from a registry
    Pull(pull::PullArgs),
    /// Put an image into a registry
    Push(pull::PushArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Remove images
    #[command(alias = "remove")]
    Rm(RmArgs),
    /// Show everything about images
    Inspect(show::InspectArgs),
    /// Show how an image was made
    History(list::HistoryArgs),
    /// Read images from an archive
    #[command(after_help = archive::LOAD_HELP)]
    Load(archive::LoadArgs),
    /// Write images as an archive
    Save(archive::SaveArgs),
    /// Make an image of a root file system's archive
    Import(archive::ImportArgs),
    /// Remove images that nothing uses
    Prune(ImagePruneArgs),
}

/// The same without `image`, as Docker has them.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List images
    Images(list::Args),
    /// Get an image from a registry
    Pull(pull::PullArgs),
    /// Put an image into a registry
    Push(pull::PushArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Remove images
    Rmi(RmArgs),
    /// Show how an image was made
    History(list::HistoryArgs),
    /// Read images from an archive
    #[command(after_help = archive::LOAD_HELP)]
    Load(archive::LoadArgs),
    /// Write images as an archive
    Save(archive::SaveArgs),
    /// Make an image of a root file system's archive
    Import(archive::ImportArgs),
}

/// Names an image.
#[derive(clap::Args)]
pub(crate) struct TagArgs {
    /// Name or id of an image
    source: String,
    /// New name
    target: String,
}

/// Removes images.
#[derive(clap::Args)]
pub(crate) struct RmArgs {
    /// Even if it has several names
    #[arg(short, long)]
    force: bool,
    /// Keep images that it is made from
    #[arg(long)]
    no_prune: bool,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Removes unused images.
#[derive(clap::Args)]
pub(crate) struct ImagePruneArgs {
    /// Those with names too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    prune: life::PruneArgs,
}

pub(crate) fn run_group(host: Option<&str>, group: Group) -> anyhow::Result<ExitCode> {
    with_engine(host, |engine| async move {
        match group {
            Group::Ls(args) => list::run(engine, args).await,
            Group::Pull(args) => pull::run_pull(engine, args).await,
            Group::Push(args) => pull::run_push(engine, args).await,
            Group::Tag(args) => tag(engine, args).await,
            Group::Rm(args) => rm(engine, args).await,
            Group::Inspect(mut args) => {
                args.only("image");
                show::inspect(engine, args).await
            }
            Group::History(args) => list::history(engine, args).await,
            Group::Load(args) => archive::load(engine, args).await,
            Group::Save(args) => archive::save(engine, args).await,
            Group::Import(args) => archive::import(engine, args).await,
            Group::Prune(args) => prune(engine, args).await,
        }
    })
}

pub(crate) fn run(host: Option<&str>, command: Command) -> anyhow::Result<ExitCode> {
    let group = match command {
        Command::Images(args) => Group::Ls(args),
        Command::Pull(args) => Group::Pull(args),
        Command::Push(args) => Group::Push(args),
        Command::Tag(args) => Group::Tag(args),
        Command::Rmi(args) => Group::Rm(args),
        Command::History(args) => Group::History(args),
        Command::Load(args) => Group::Load(args),
        Command::Save(args) => Group::Save(args),
        Command::Import(args) => Group::Import(args),
    };
    run_group(host, group)
}

/// An image's name without its tag, and the tag.
pub(crate) fn split_tag(name: &str) -> (&str, Option<&str>) {
    if name.contains('@') {
        return (name, None);
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

async fn tag(engine: Engine, args: TagArgs) -> anyhow::Result<ExitCode> {
    let (repository, tag) = split_tag(&args.target);
    let path = Query::path(&["images", &args.source, "tag"])
        .with("repo", repository)
        .with("tag", tag.unwrap_or("latest"));
    engine.act(Method::POST, path.as_str()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn rm(engine: Engine, args: RmArgs) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for image in &args.images {
        let path = Query::path(&["images", image])
            .flag("force", args.force)
            .flag("noprune", args.no_prune);
        match engine.act_for::<Vec<Value>>(Method::DELETE, path.as_str()).await {
            Ok(items) => {
                for item in &items {
                    for kind in ["Untagged", "Deleted"] {
                        let name = at(item, &format!("/{kind}"));
                        if !name.is_empty() {
                            output::line(&format!("{kind}: {name}"))?;
                        }
                    }
                }
            }
            Err(error) => {
                // What is not there need not be removed by force.
                failed |= !(args.force && error.is(StatusCode::NOT_FOUND));
                output::report(&error.into());
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn prune(engine: Engine, args: ImagePruneArgs) -> anyhow::Result<ExitCode> {
    let (question, filters) = if args.all {
        ("This removes all images that no container uses.", vec!["dangling=false".to_owned()])
    } else {
        ("This removes all images without a name.", Vec::new())
    };
    life::prune(&engine, "images", question, &args.prune, &filters).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_of_a_registry_is_no_tag() {
        assert_eq!(split_tag("localhost:5000/a/b"), ("localhost:5000/a/b", None));
        assert_eq!(split_tag("localhost:5000/a:1"), ("localhost:5000/a", Some("1")));
        assert_eq!(split_tag("a@sha256:00"), ("a@sha256:00", None));
    }
}
