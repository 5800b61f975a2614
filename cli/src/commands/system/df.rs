//! `bulkhead system df`: what the disk is used for, and how much of it nothing needs.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::commands::container::ps;
use crate::commands::{image, volume};
use crate::engine::Engine;
use crate::output;
use crate::rows::{Column, LABELS, Layout, Row, Template, at, row};
use crate::units;

/// Shows disk usage.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Each image, container and volume
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    layout: Layout,
}

const TOTALS: [Column; 5] = [
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
];

const IMAGES: [Column; 8] = [
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
    ("CONTAINERS", "Containers"),
];

const CONTAINERS: [Column; 8] = [
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("SIZE", "Size"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("NAMES", "Names"),
];

const VOLUMES: [Column; 3] = [("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size")];

const BUILDS: [Column; 7] = [
    ("CACHE ID", "ID"),
    ("CACHE TYPE", "CacheType"),
    ("SIZE", "Size"),
    ("CREATED", "CreatedSince"),
    ("LAST USED", "LastUsedSince"),
    ("USAGE", "UsageCount"),
    ("SHARED", "Shared"),
];

pub(super) async fn run(engine: Engine, args: Args) -> anyhow::Result<ExitCode> {
    let usage: Value = engine.get("/system/df").await?;
    match (args.verbose, args.layout.format()) {
        (false, _) => args.layout.print(&TOTALS, &totals(&usage))?,
        (true, None | Some("table")) => tables(&Details::of(&usage, false))?,
        (true, Some("json")) => output::line(&Details::of(&usage, true).document().to_string())?,
        (true, Some(text)) => {
            let document = Details::of(&usage, true).document();
            output::line(&Template::of_rows(text)?.render(&document)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What all of a kind take, bytes.
struct Total {
    count: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

impl Total {
    /// Of things of which each is in use or not.
    fn of(all: &[Value], size: &str, active: impl Fn(&Value) -> bool) -> Self {
        let sum = |list: Vec<&Value>| list.iter().map(|it| number(it, size).max(0)).sum();
        let (used, unused): (Vec<_>, Vec<_>) = all.iter().partition(|it| active(it));
        let active = used.len();
        let reclaimable = sum(unused);
        Self { count: all.len(), active, size: reclaimable + sum(used), reclaimable }
    }

    /// Of images, which have layers in common: what an image in use shares is not counted as used,
    /// as Docker has it.
    fn of_images(usage: &Value) -> Self {
        let all = list(usage, "Images");
        let size = usage["LayersSize"].as_i64().unwrap_or_default();
        let used: Vec<_> = all.iter().filter(|it| number(it, "/Containers") > 0).collect();
        let unique: i64 = used.iter().map(|it| unique(it)).sum();
        Self { count: all.len(), active: used.len(), size, reclaimable: (size - unique).max(0) }
    }

    fn row(&self, kind: &str) -> Row {
        let mut reclaimable = units::human_closely(self.reclaimable);
        if self.size > 0 {
            let percent = i128::from(self.reclaimable) * 100 / i128::from(self.size);
            reclaimable.push_str(&format!(" ({percent}%)"));
        }
        row([
            ("Type", kind.to_owned()),
            ("TotalCount", self.count.to_string()),
            ("Active", self.active.to_string()),
            ("Size", units::human_closely(self.size)),
            ("Reclaimable", reclaimable),
        ])
    }
}

fn totals(usage: &Value) -> [Row; 4] {
    let is_up =
        |it: &Value| matches!(at(it, "/State").as_str(), "running" | "paused" | "restarting");
    let has_users = |it: &Value| number(it, "/UsageData/RefCount") > 0;
    let in_use = |it: &Value| it["InUse"] == true;
    let of =
        |kind, size, active: &dyn Fn(&Value) -> bool| Total::of(&list(usage, kind), size, active);
    [
        Total::of_images(usage).row("Images"),
        of("Containers", "/SizeRw", &is_up).row("Containers"),
        of("Volumes", "/UsageData/Size", &has_users).row("Local Volumes"),
        of("BuildCache", "/Size", &in_use).row("Build Cache"),
    ]
}

/// Everything that takes space.
struct Details {
    images: Vec<Row>,
    containers: Vec<Row>,
    volumes: Vec<Row>,
    builds: i64,
}

impl Details {
    /// With `whole` ids and commands, or with short ones.
    fn of(usage: &Value, whole: bool) -> Self {
        let of = |kind, describe: &dyn Fn(&Value) -> Row| {
            list(usage, kind).iter().map(describe).collect()
        };
        Self {
            images: of("Images", &|it| image_row(it, whole)),
            containers: of("Containers", &|it| ps::describe(it, whole)),
            volumes: of("Volumes", &volume_row),
            builds: list(usage, "BuildCache").iter().map(|it| number(it, "/Size")).sum(),
        }
    }

    /// As Docker's templates know it.
    fn document(mut self) -> Value {
        for row in self.containers.iter_mut().chain(&mut self.volumes) {
            row.remove(LABELS);
        }
        json!({
            "Images": self.images, "Containers": self.containers, "Volumes": self.volumes,
            "BuildCache": [],
        })
    }
}

fn tables(details: &Details) -> anyhow::Result<()> {
    let section = |title: &str, columns: &[Column], rows: &[Row]| {
        output::line(&format!("{title}\n"))?;
        Layout::default().print(columns, rows)
    };
    section("Images space usage:", &IMAGES, &details.images)?;
    section("\nContainers space usage:", &CONTAINERS, &details.containers)?;
    section("\nLocal Volumes space usage:", &VOLUMES, &details.volumes)?;
    let builds = format!("\nBuild cache usage: {}", units::human_closely(details.builds));
    section(&builds, &BUILDS, &[])
}

/// An image by its first name.
fn image_row(image: &Value, whole: bool) -> Row {
    let mut row = image::list::describe(image, whole).into_iter().next().unwrap_or_default();
    let mut set = |name: &str, value: String| row.insert(name.to_owned(), value.into());
    set("Containers", number(image, "/Containers").to_string());
    set("SharedSize", units::human_closely(number(image, "/SharedSize").max(0)));
    set("UniqueSize", units::human_closely(unique(image)));
    set("VirtualSize", units::human(number(image, "/Size")));
    row
}

fn volume_row(volume: &Value) -> Row {
    let mut row = volume::describe(volume);
    row.insert("Links".to_owned(), at(volume, "/UsageData/RefCount").into());
    row.insert("Size".to_owned(), units::human_closely(number(volume, "/UsageData/Size")).into());
    row
}

/// What only this image has, bytes.
fn unique(image: &Value) -> i64 {
    (number(image, "/Size") - number(image, "/SharedSize").max(0)).max(0)
}

fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

fn list(usage: &Value, kind: &str) -> Vec<Value> {
    usage[kind].as_array().cloned().unwrap_or_default()
}
