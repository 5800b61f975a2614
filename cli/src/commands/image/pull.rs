//! `bulkhead image pull`, `bulkhead image push`.

use std::process::ExitCode;

use hyper::Method;

use super::split_tag;
use crate::commands::login;
use crate::engine::{Engine, Query, progress};
use crate::output;

/// Gets an image.
#[derive(clap::Args)]
pub(crate) struct PullArgs {
    /// Every tag of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Platform
    #[arg(long)]
    platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Name
    image: String,
}

/// Puts an image into a registry.
#[derive(clap::Args)]
pub(crate) struct PushArgs {
    /// Every tag of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Name
    image: String,
}

pub(crate) async fn run_pull(engine: Engine, args: PullArgs) -> anyhow::Result<ExitCode> {
    if args.all_tags {
        let path = Query::path(&["images", "create"]).with("fromImage", &args.image);
        send(&engine, &args.image, path, args.quiet).await?;
    } else {
        pull(&engine, &args.image, args.platform.as_deref(), args.quiet).await?;
    }
    output::line(&args.image)?;
    Ok(ExitCode::SUCCESS)
}

/// Gets an image and shows how that goes.
pub(crate) async fn pull(
    engine: &Engine,
    image: &str,
    platform: Option<&str>,
    quiet: bool,
) -> anyhow::Result<()> {
    let (name, tag) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => split_tag(image),
    };
    let path = Query::path(&["images", "create"])
        .with("fromImage", name)
        .with("tag", tag.unwrap_or("latest"))
        .maybe("platform", platform);
    send(engine, image, path, quiet).await
}

pub(crate) async fn run_push(engine: Engine, args: PushArgs) -> anyhow::Result<ExitCode> {
    let (name, tag) = split_tag(&args.image);
    let tag = (!args.all_tags).then(|| tag.unwrap_or("latest"));
    let path = Query::path(&["images", name, "push"]).maybe("tag", tag);
    send(&engine, &args.image, path, args.quiet).await?;
    Ok(ExitCode::SUCCESS)
}

async fn send(engine: &Engine, image: &str, path: Query, quiet: bool) -> anyhow::Result<()> {
    let auth = login::header_for(image)?;
    let headers: Vec<_> = auth.iter().map(|auth| ("x-registry-auth", auth.as_str())).collect();
    let lines = engine.lines(Method::POST, path.as_str(), None, &headers).await?;
    progress::show(lines, quiet).await
}
