//! `bulkhead events`.

use std::process::ExitCode;

use futures_util::StreamExt;
use hyper::Method;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::engine::{Engine, Query};
use crate::output;
use crate::rows::{Template, at, text};
use crate::units;

/// Follows what happens.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// From then on: a time, seconds since 1970, or such as 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only those that match: container=, event=, image=, label=, network=, type=, volume=
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, or a template such as '{{.Action}}'
    #[arg(long)]
    format: Option<String>,
}

pub(crate) async fn run(engine: Engine, args: Args) -> anyhow::Result<ExitCode> {
    let template: Option<Template> = match args.format.as_deref() {
        None | Some("json") => None,
        Some(text) => Some(text.parse()?),
    };
    let path = Query::path(&["events"])
        .maybe("since", args.since.as_deref().map(units::moment))
        .maybe("until", args.until.as_deref().map(units::moment))
        .filters(&args.filter)?;
    let mut events = engine.lines::<Value>(Method::GET, path.as_str(), None, &[]).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        match (&template, &args.format) {
            (Some(template), _) => output::line(&template.render(&event)?)?,
            (None, Some(_)) => output::line(&event.to_string())?,
            (None, None) => output::line(&describe(&event))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `2026-01-01T00:00:00Z container start 0123… (image=nginx, name=web)`.
fn describe(event: &Value) -> String {
    let nanos = event["timeNano"].as_i64().unwrap_or_default();
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).ok();
    let moment = moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default();
    let attributes = event.pointer("/Actor/Attributes").and_then(Value::as_object);
    let attributes = attributes.into_iter().flatten();
    let attributes: Vec<_> =
        attributes.map(|(name, value)| format!("{name}={}", text(value))).collect();
    let (kind, action) = (at(event, "/Type"), at(event, "/Action"));
    let id = at(event, "/Actor/ID");
    format!("{moment} {kind} {action} {id} ({})", attributes.join(", "))
}
