//! What a container is and does: inspect, logs, top, port, diff, stats.

use std::collections::HashSet;
use std::io;
use std::process::ExitCode;

use anyhow::bail;
use futures_util::{StreamExt, TryStreamExt};
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio_util::io::StreamReader;

use super::ps::short;
use crate::engine::client::chunks;
use crate::engine::{Engine, EngineError, Query, frames};
use crate::output;
use crate::rows::{self, Column, Layout, Row, at, row};
use crate::units;

/// Shows everything about objects.
#[derive(clap::Args)]
pub(crate) struct InspectArgs {
    /// Template such as '{{.State.Status}}', or json
    #[arg(short, long)]
    pub(crate) format: Option<String>,
    /// Sizes too
    #[arg(short, long)]
    size: bool,
    /// What kind of object: container, image, volume, network
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

impl InspectArgs {
    /// Looks among objects of this kind only.
    pub(crate) fn only(&mut self, kind: &str) {
        self.kind = Some(kind.to_owned());
    }
}

/// Shows what a container has written.
#[derive(clap::Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    options: LogOptions,
    /// Name or id
    container: String,
}

/// What of a log is shown.
#[derive(clap::Args)]
pub(crate) struct LogOptions {
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only what was written since: a time, seconds since 1970, or such as 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was written until
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "NUMBER", default_value = "all")]
    tail: String,
    /// When each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// What was given to the log driver
    #[arg(long)]
    details: bool,
}

/// Shows what containers use.
#[derive(clap::Args)]
pub(crate) struct StatsArgs {
    /// Once, instead of going on
    #[arg(long)]
    no_stream: bool,
    /// Those that do not run too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    layout: Layout,
    /// Names or ids (default: all that run)
    containers: Vec<String>,
}

/// Kinds of objects and where each is found.
const KINDS: [(&str, &str, &str); 4] = [
    ("container", "containers", "json"),
    ("image", "images", "json"),
    ("volume", "volumes", ""),
    ("network", "networks", ""),
];

pub(crate) async fn inspect(engine: Engine, args: InspectArgs) -> anyhow::Result<ExitCode> {
    let kind = args.kind.as_deref();
    let known = kind.is_none_or(|kind| KINDS.iter().any(|(name, _, _)| *name == kind));
    if !known {
        bail!("--type: expected container, image, volume or network");
    }
    let mut found = Vec::new();
    let mut failed = false;
    for name in &args.names {
        match inspect_one(&engine, kind, name, args.size).await {
            Ok(value) => found.push(value),
            Err(error) => {
                output::report(&error);
                failed = true;
            }
        }
    }
    rows::inspected(&found, args.format.as_deref())?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Looks for `name` among objects of a kind, or of all.
pub(crate) async fn inspect_one(
    engine: &Engine,
    kind: Option<&str>,
    name: &str,
    size: bool,
) -> anyhow::Result<Value> {
    for (_, folder, leaf) in KINDS.iter().filter(|(it, _, _)| kind.is_none_or(|kind| kind == *it)) {
        let parts = [*folder, name, *leaf];
        let parts = if leaf.is_empty() { &parts[..2] } else { &parts[..] };
        let path = Query::path(parts).flag("size", size);
        match engine.get::<Value>(path.as_str()).await {
            Err(error) if error.is(hyper::StatusCode::NOT_FOUND) && kind.is_none() => {}
            result => return Ok(result?),
        }
    }
    bail!("No such object: {name}")
}

pub(crate) async fn logs(engine: Engine, args: LogsArgs) -> anyhow::Result<ExitCode> {
    copy_log(&engine, &args.container, &args.options, &mut io::stdout(), &mut io::stderr()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a container's log to `out` and `err`.
pub(crate) async fn copy_log(
    engine: &Engine,
    container: &str,
    args: &LogOptions,
    out: &mut impl io::Write,
    err: &mut impl io::Write,
) -> anyhow::Result<()> {
    let name = container;
    let inspect = Query::path(&["containers", name, "json"]);
    let container: Value = engine.get(inspect.as_str()).await?;
    let tty = container.pointer("/Config/Tty") == Some(&Value::Bool(true));
    let path = Query::path(&["containers", name, "logs"])
        .with("stdout", "1")
        .with("stderr", "1")
        .flag("follow", args.follow)
        .flag("timestamps", args.timestamps)
        .flag("details", args.details)
        .with("tail", &args.tail)
        .maybe("since", args.since.as_deref().map(units::moment))
        .maybe("until", args.until.as_deref().map(units::moment));
    let response = engine.send(Method::GET, path.as_str(), None).await?;
    let reader = StreamReader::new(chunks(response).map_err(io::Error::other));
    let result = if tty {
        frames::copy(reader, out).await
    } else {
        frames::demultiplex(reader, out, err).await
    };
    match result {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// The processes of a container.
#[derive(clap::Args)]
pub(crate) struct TopArgs {
    /// Name or id
    container: String,
    /// Options for ps
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) async fn top(engine: Engine, args: TopArgs) -> anyhow::Result<ExitCode> {
    let options = (!args.options.is_empty()).then(|| args.options.join(" "));
    let path = Query::path(&["containers", &args.container, "top"]).maybe("ps_args", options);
    let list: Value = engine.get(path.as_str()).await?;
    let processes = list["Processes"].as_array().into_iter().flatten();
    output::table(cells(&list["Titles"]), processes.map(cells))?;
    Ok(ExitCode::SUCCESS)
}

/// A row of processes.
pub(crate) fn cells(row: &Value) -> Vec<String> {
    row.as_array().into_iter().flatten().map(rows::text).collect()
}

/// The published ports of a container.
#[derive(clap::Args)]
pub(crate) struct PortArgs {
    /// Name or id
    container: String,
    /// Only this one: PORT[/PROTOCOL]
    port: Option<String>,
}

pub(crate) async fn port(engine: Engine, args: PortArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["containers", &args.container, "json"]);
    let container: Value = engine.get(path.as_str()).await?;
    let ports = container.pointer("/NetworkSettings/Ports").and_then(Value::as_object);
    let wanted =
        args.port.map(|port| if port.contains('/') { port } else { format!("{port}/tcp") });
    let mut found = false;
    for (inside, bindings) in ports.into_iter().flatten() {
        if wanted.as_ref().is_some_and(|wanted| wanted != inside) {
            continue;
        }
        for binding in bindings.as_array().into_iter().flatten() {
            found = true;
            let address = at(binding, "/HostIp");
            let address = if address.contains(':') { format!("[{address}]") } else { address };
            let outside = format!("{address}:{}", at(binding, "/HostPort"));
            match &wanted {
                Some(_) => output::line(&outside)?,
                None => output::line(&format!("{inside} -> {outside}"))?,
            }
        }
    }
    match wanted {
        Some(port) if !found => bail!("no public port '{port}' published for {}", args.container),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What a container has changed of its image.
#[derive(clap::Args)]
pub(crate) struct DiffArgs {
    /// Name or id
    container: String,
}

pub(crate) async fn diff(engine: Engine, args: DiffArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["containers", &args.container, "changes"]);
    let changes: Option<Vec<Value>> = engine.get(path.as_str()).await?;
    for change in changes.unwrap_or_default() {
        let kind = match change["Kind"].as_i64() {
            Some(0) => 'C',
            Some(1) => 'A',
            _ => 'D',
        };
        output::line(&format!("{kind} {}", at(&change, "/Path")))?;
    }
    Ok(ExitCode::SUCCESS)
}

const STATS: [Column; 8] = [
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

pub(crate) async fn stats(engine: Engine, args: StatsArgs) -> anyhow::Result<ExitCode> {
    let names = async || -> anyhow::Result<Vec<String>> {
        if !args.containers.is_empty() {
            return Ok(args.containers.clone());
        }
        let path = Query::path(&["containers", "json"]).flag("all", args.all);
        let list: Vec<Value> = engine.get(path.as_str()).await?;
        Ok(list.iter().map(|container| at(container, "/Id")).collect())
    };
    watch(&engine, names, !args.containers.is_empty(), args.no_stream, &args.layout).await
}

/// Shows what containers use, again and again, or once. Whose that is is asked each time;
/// where the user has `named` them, all must be there at first.
pub(crate) async fn watch(
    engine: &Engine,
    names: impl AsyncFn() -> anyhow::Result<Vec<String>>,
    named: bool,
    once: bool,
    layout: &Layout,
) -> anyhow::Result<ExitCode> {
    let mut seen = HashSet::new();
    loop {
        let names = names().await?;
        // Each answer takes the second between its two readings.
        let readings = names.iter().map(|name| reading(engine, name));
        let readings = futures_util::future::join_all(readings).await;
        let mut rows = Vec::with_capacity(readings.len());
        for (name, reading) in names.iter().zip(readings) {
            match reading {
                Ok(row) => {
                    seen.insert(name.clone());
                    rows.push(row);
                }
                // One that was there has been removed meanwhile; others are shown on.
                Err(error) if is_gone(&error) && (!named || seen.contains(name)) => {}
                Err(error) => return Err(error),
            }
        }
        if !once && crate::host::terminal::is_interactive() {
            output::clear()?;
        }
        layout.print(&STATS, &rows)?;
        if once || rows.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &EngineError| error.is(StatusCode::NOT_FOUND))
}

async fn reading(engine: &Engine, name: &str) -> anyhow::Result<Row> {
    let path = Query::path(&["containers", name, "stats"]).with("stream", "0");
    let mut answers = engine.lines::<Value>(Method::GET, path.as_str(), None, &[]).await?;
    let Some(answer) = answers.next().await else { bail!("the engine said nothing of {name}") };
    Ok(describe(&answer?))
}

fn describe(stats: &Value) -> Row {
    let number = |path: &str| stats.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let used = number("/memory_stats/usage") - number("/memory_stats/stats/inactive_file");
    let limit = number("/memory_stats/limit");
    let cpu =
        number("/cpu_stats/cpu_usage/total_usage") - number("/precpu_stats/cpu_usage/total_usage");
    let system = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
    let sum = |path: &str, field: &str| -> i64 {
        let all = stats.pointer(path).and_then(Value::as_object).into_iter().flatten();
        all.filter_map(|(_, value)| value.get(field).and_then(Value::as_i64)).sum()
    };
    let blocks = |operation: &str| -> i64 {
        let list = stats.pointer("/blkio_stats/io_service_bytes_recursive");
        let list = list.and_then(Value::as_array).into_iter().flatten();
        let wanted = list.filter(|it| at(it, "/op").eq_ignore_ascii_case(operation));
        wanted.filter_map(|it| it["value"].as_i64()).sum()
    };
    let cpus = number("/cpu_stats/online_cpus").max(1);
    row([
        ("ID", short(&at(stats, "/id"), false)),
        ("Name", at(stats, "/name").trim_start_matches('/').to_owned()),
        ("CPUPerc", percent(cpu.saturating_mul(cpus), system)),
        ("MemUsage", format!("{} / {}", units::human_binary(used), units::human_binary(limit))),
        ("MemPerc", percent(used, limit)),
        (
            "NetIO",
            format!(
                "{} / {}",
                units::human(sum("/networks", "rx_bytes")),
                units::human(sum("/networks", "tx_bytes"))
            ),
        ),
        (
            "BlockIO",
            format!("{} / {}", units::human(blocks("read")), units::human(blocks("write"))),
        ),
        ("PIDs", number("/pids_stats/current").to_string()),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(part: i64, whole: i64) -> String {
    let share = if whole > 0 { part as f64 / whole as f64 * 100.0 } else { 0.0 };
    format!("{share:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between_two_readings() {
        let stats = serde_json::json!({
            "id": "0123456789abcdef", "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3 << 20, "limit": 4 << 20, "stats": {"inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 2000}},
            "pids_stats": {"current": 3},
        });
        let row = describe(&stats);
        assert_eq!(row["CPUPerc"], "40.00%");
        assert_eq!((&row["MemUsage"], &row["MemPerc"]), (&"2MiB / 4MiB".into(), &"50.00%".into()));
        assert_eq!(row["NetIO"], "1kB / 2kB");
    }
}
