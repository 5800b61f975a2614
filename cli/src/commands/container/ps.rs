//! `bulkhead ps`.

use std::process::ExitCode;

use serde_json::Value;

use crate::engine::{Engine, Query};
use crate::rows::{Column, LABELS, Layout, Row, at, row};
use crate::units;

const COLUMNS: [Column; 7] = [
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
];

/// Lists containers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Those that do not run too
    #[arg(short, long)]
    all: bool,
    /// Only those that match: status=, name=, label=, ancestor=, network=, health=, …
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// The last so many, whatever their state
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<u32>,
    /// The last one, whatever its state
    #[arg(short, long)]
    latest: bool,
    /// Whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// Sizes too
    #[arg(short, long)]
    size: bool,
    #[command(flatten)]
    layout: Layout,
}

pub(crate) async fn run(engine: Engine, args: Args) -> anyhow::Result<ExitCode> {
    let limit = if args.latest { Some(1) } else { args.last };
    let path = Query::path(&["containers", "json"])
        .flag("all", args.all || limit.is_some())
        .flag("size", args.size)
        .maybe("limit", limit)
        .filters(&args.filter)?;
    let containers: Vec<Value> = engine.get(path.as_str()).await?;
    let rows = containers.iter().map(|it| {
        let mut row = describe(it, args.no_trunc);
        row.insert("Size".to_owned(), sizes(it).into());
        row
    });
    let rows: Vec<_> = rows.collect();
    let mut columns = COLUMNS.to_vec();
    if args.size {
        columns.push(("SIZE", "Size"));
    }
    args.layout.list(&columns, &rows, args.quiet.then_some("ID"))
}

pub(crate) fn describe(container: &Value, whole: bool) -> Row {
    let names = container["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<_> = names.map(|name| name.trim_start_matches('/')).collect();
    let command = at(container, "/Command");
    let labels = container["Labels"].as_object().into_iter().flatten();
    let labels: Vec<_> =
        labels.map(|(name, value)| format!("{name}={}", crate::rows::text(value))).collect();
    let networks = container.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let networks: Vec<_> = networks.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let mounts: Vec<_> = mounts.map(|mount| mounted(mount, whole)).collect();
    let volumes = container["Mounts"].as_array().into_iter().flatten();
    let volumes = volumes.filter(|mount| at(mount, "/Type") == "volume").count();
    let mut row = row([
        ("ID", short(&at(container, "/Id"), whole)),
        ("Image", at(container, "/Image")),
        ("Command", format!("\"{}\"", cut(&command, if whole { usize::MAX } else { 20 }))),
        ("RunningFor", units::ago(container["Created"].as_i64().unwrap_or_default())),
        ("CreatedAt", units::created(container["Created"].as_i64().unwrap_or_default())),
        ("Status", at(container, "/Status")),
        ("State", at(container, "/State")),
        ("Ports", ports(container)),
        ("Names", names.join(",")),
        ("Labels", labels.join(",")),
        ("Networks", networks.join(",")),
        ("Mounts", mounts.join(",")),
        ("LocalVolumes", volumes.to_string()),
        ("Size", units::human(container["SizeRw"].as_i64().unwrap_or_default())),
    ]);
    row.insert(LABELS.to_owned(), container["Labels"].clone());
    row
}

/// What the container has written and, if that is known, that with its image.
fn sizes(container: &Value) -> String {
    let size = |name: &str| container[name].as_i64().unwrap_or_default();
    let written = units::human(size("SizeRw"));
    match size("SizeRootFs") {
        1.. => format!("{written} (virtual {})", units::human(size("SizeRootFs"))),
        _ => written,
    }
}

/// A volume by its name, anything else by what is mounted.
fn mounted(mount: &Value, whole: bool) -> String {
    let name = at(mount, "/Name");
    let text = if name.is_empty() { at(mount, "/Source") } else { name };
    cut(&text, if whole { usize::MAX } else { 15 })
}

/// The first twelve characters of an id, or all.
pub(crate) fn short(id: &str, whole: bool) -> String {
    let id = if whole { id } else { id.trim_start_matches("sha256:") };
    if whole { id.to_owned() } else { id.chars().take(12).collect() }
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`.
fn ports(container: &Value) -> String {
    let mut texts: Vec<_> = container["Ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let inside = format!("{}/{}", at(port, "/PrivatePort"), at(port, "/Type"));
            let address = at(port, "/IP");
            let address = if address.contains(':') { format!("[{address}]") } else { address };
            match port.get("PublicPort").and_then(Value::as_u64).filter(|port| *port > 0) {
                Some(public) => format!("{address}:{public}->{inside}"),
                None => inside,
            }
        })
        .collect();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_is_described_as_docker_does() {
        let container = serde_json::json!({
            "Id": "0123456789abcdef", "Names": ["/web"], "Image": "nginx",
            "Command": "nginx -g 'daemon off;' and more", "Created": 0, "State": "running",
            "Status": "Up 3 seconds", "Labels": {"a": "b"},
            "Ports": [
                {"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "0.0.0.0"},
                {"PrivatePort": 443, "Type": "tcp"},
                {"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "::"}
            ],
        });
        assert_eq!(sizes(&container), "0B");
        let sized = serde_json::json!({ "SizeRw": 8_150_000, "SizeRootFs": 12_520_000 });
        assert_eq!(sizes(&sized), "8.15MB (virtual 12.5MB)");
        let row = describe(&container, false);
        assert_eq!(row["ID"], "0123456789ab");
        assert_eq!(row["CreatedAt"], "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(row["Names"], "web");
        assert_eq!(row["Command"], "\"nginx -g 'daemon of…\"");
        assert_eq!(row["Ports"], "0.0.0.0:8080->80/tcp, 443/tcp, [::]:8080->80/tcp");
    }
}
