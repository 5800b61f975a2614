//! `bulkhead image load`, `save` and `import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use hyper::Method;

use super::split_tag;
use crate::commands::container::files;
use crate::engine::{Engine, Query, progress};

pub(crate) const LOAD_HELP: &str = "\
Examples:
  bulkhead image load -i image.tar
  docker save alpine | bulkhead image load";

/// Reads images from an archive: Docker's or an OCI layout, compressed or not.
#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Archive, instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

/// Writes images as an archive.
#[derive(clap::Args)]
pub(crate) struct SaveArgs {
    /// File to write instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Makes an image of a root file system.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// A change to the image's settings, as in a Dockerfile
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What was done
    #[arg(short, long)]
    message: Option<String>,
    /// Platform
    #[arg(long)]
    platform: Option<String>,
    /// Tar archive, or - for standard input
    file: String,
    /// Name of the image
    image: Option<String>,
}

pub(crate) async fn load(engine: Engine, args: LoadArgs) -> anyhow::Result<ExitCode> {
    use std::io::IsTerminal;
    if args.input.is_none() && std::io::stdin().is_terminal() {
        bail!("an archive does not come from a terminal: use --input FILE, or redirect input");
    }
    let path = Query::path(&["images", "load"]).flag("quiet", args.quiet);
    let body = files::file_body(args.input.as_deref())?;
    let headers = [("content-type", "application/x-tar")];
    let lines = engine.lines(Method::POST, path.as_str(), Some(body), &headers).await?;
    progress::show(lines, args.quiet).await?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn save(engine: Engine, args: SaveArgs) -> anyhow::Result<ExitCode> {
    let query = Query::path(&["images", "get"]);
    let query = args.images.iter().fold(query, |query, image| query.with("names", image));
    files::save(&engine, query.as_str(), args.output.as_deref()).await
}

pub(crate) async fn import(engine: Engine, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let file = (args.file != "-").then(|| PathBuf::from(&args.file));
    let (repository, tag) = split_tag(args.image.as_deref().unwrap_or_default());
    let mut path = Query::path(&["images", "create"])
        .with("fromSrc", "-")
        .with("repo", repository)
        .maybe("tag", tag)
        .maybe("message", args.message)
        .maybe("platform", args.platform);
    for change in &args.change {
        path = path.with("changes", change);
    }
    let body = files::file_body(file.as_deref())?;
    let headers = [("content-type", "application/x-tar")];
    let lines = engine.lines(Method::POST, path.as_str(), Some(body), &headers).await?;
    progress::show(lines, false).await?;
    Ok(ExitCode::SUCCESS)
}
