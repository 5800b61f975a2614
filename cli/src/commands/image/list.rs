//! `bulkhead image ls`, `bulkhead image history`.

use std::process::ExitCode;

use serde_json::Value;

use super::split_tag;
use crate::commands::container::ps::short;
use crate::engine::{Engine, Query};
use crate::rows::{Column, Layout, Row, at, row};
use crate::units;

const COLUMNS: [Column; 5] = [
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

/// Lists images.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those without a name that others are made from too
    #[arg(short, long)]
    all: bool,
    /// Digests too
    #[arg(long)]
    digests: bool,
    /// Only those that match: reference=, label=, dangling=, before=, since=
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
    /// Only those of this name
    name: Option<String>,
}

/// Shows how an image was made.
#[derive(clap::Args)]
pub(crate) struct HistoryArgs {
    /// Whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    layout: Layout,
    /// Name or id
    image: String,
}

pub(crate) async fn run(engine: Engine, args: Args) -> anyhow::Result<ExitCode> {
    let mut filters = args.filter.clone();
    filters.extend(args.name.iter().map(|name| format!("reference={name}")));
    let path = Query::path(&["images", "json"])
        .flag("all", args.all)
        .flag("digests", args.digests)
        .filters(&filters)?;
    let images: Vec<Value> = engine.get(path.as_str()).await?;
    let rows = images.iter().flat_map(|image| describe(image, args.no_trunc));
    let mut rows: Vec<_> = rows.collect();
    if args.quiet {
        // One line for all names of an image.
        rows.dedup_by(|one, other| one["ID"] == other["ID"]);
    }
    let mut columns = COLUMNS.to_vec();
    if args.digests {
        columns.insert(2, ("DIGEST", "Digest"));
    }
    args.layout.list(&columns, &rows, args.quiet.then_some("ID"))
}

/// A row for each name.
pub(crate) fn describe(image: &Value, whole: bool) -> Vec<Row> {
    let list = |name: &str| -> Vec<String> {
        image[name].as_array().into_iter().flatten().map(crate::rows::text).collect()
    };
    let mut names = list("RepoTags");
    names.retain(|name| name != "<none>:<none>");
    let digest = list("RepoDigests")
        .first()
        .and_then(|it| it.split_once('@'))
        .map_or_else(|| "<none>".to_owned(), |(_, digest)| digest.to_owned());
    if names.is_empty() {
        let repository = list("RepoDigests")
            .first()
            .and_then(|it| it.split_once('@'))
            .map_or_else(|| "<none>".to_owned(), |(repository, _)| repository.to_owned());
        names.push(format!("{repository}:<none>"));
    }
    let created = image["Created"].as_i64().unwrap_or_default();
    let rows = names.iter().map(|name| {
        let (repository, tag) = split_tag(name);
        row([
            ("Repository", repository.to_owned()),
            ("Tag", tag.unwrap_or("<none>").to_owned()),
            ("ID", short(&at(image, "/Id"), whole)),
            ("Digest", digest.clone()),
            ("CreatedSince", units::ago(created)),
            ("CreatedAt", units::created(created)),
            ("Containers", "N/A".to_owned()),
            ("Size", units::human(image["Size"].as_i64().unwrap_or_default())),
        ])
    });
    rows.collect()
}

const HISTORY: [Column; 5] = [
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
];

pub(crate) async fn history(engine: Engine, args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["images", &args.image, "history"]);
    let steps: Vec<Value> = engine.get(path.as_str()).await?;
    let rows = steps.iter().map(|step| {
        let by = at(step, "/CreatedBy");
        let by = if args.no_trunc { by } else { by.chars().take(45).collect() };
        row([
            ("ID", short(&at(step, "/Id"), args.no_trunc)),
            ("CreatedSince", units::ago(step["Created"].as_i64().unwrap_or_default())),
            ("CreatedAt", units::created(step["Created"].as_i64().unwrap_or_default())),
            ("CreatedBy", by),
            ("Size", units::human(step["Size"].as_i64().unwrap_or_default())),
            ("Comment", at(step, "/Comment")),
        ])
    });
    let rows: Vec<_> = rows.collect();
    args.layout.list(&HISTORY, &rows, args.quiet.then_some("ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_has_a_row_for_each_name() {
        let image = serde_json::json!({
            "Id": "sha256:0123456789abcdef", "RepoTags": ["a:1", "localhost:5000/b:2"],
            "RepoDigests": [], "Created": 0, "Size": 1_000_000,
        });
        let rows = describe(&image, false);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["CreatedAt"], "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(
            (&rows[1]["Repository"], &rows[1]["Tag"]),
            (&"localhost:5000/b".into(), &"2".into())
        );
        assert_eq!((&rows[0]["ID"], &rows[0]["Size"]), (&"0123456789ab".into(), &"1MB".into()));
    }

    #[test]
    fn image_without_a_name_is_shown_too() {
        let image = serde_json::json!({ "Id": "sha256:01", "RepoTags": [], "RepoDigests": null });
        let rows = describe(&image, false);
        assert_eq!((&rows[0]["Repository"], &rows[0]["Tag"]), (&"<none>".into(), &"<none>".into()));
    }
}
