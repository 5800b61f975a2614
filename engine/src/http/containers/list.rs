//! Lists of containers, and one in detail.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bollard_stubs::models::{ContainerInspectResponse, ContainerPruneResponse, ContainerSummary};

use super::super::{ApiError, ApiResult, Filters, Query, Shared};
use super::find;
use crate::container::life::RemoveOptions;
use crate::container::record::{ContainerRecord, MountedSource, Phase};
use crate::container::{Container, Service, moment};

const FILTERS: [&str; 15] = [
    "ancestor",
    "before",
    "since",
    "exited",
    "expose",
    "publish",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "name",
    "network",
    "status",
    "volume",
];

pub(super) async fn list(
    State(engine): State<Shared>,
    query: Query,
) -> ApiResult<Json<Vec<ContainerSummary>>> {
    let filters = query.filters(&FILTERS)?;
    let limit = query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0);
    let all = query.flag("all") || limit.is_some();
    let chosen = choose(&engine.containers, &filters, all)?;
    let size = query.flag("size");
    let mut summaries = Vec::new();
    for container in chosen.into_iter().take(limit.unwrap_or(usize::MAX)) {
        let mut summary = container.summary().await;
        if size {
            summary.size_rw = Some(container.disk_usage());
            summary.size_root_fs = Some(container.root_size());
        }
        summaries.push(summary);
    }
    Ok(Json(summaries))
}

/// The containers that fit; without `all` and a filter of states those that run.
fn choose(service: &Service, filters: &Filters, all: bool) -> ApiResult<Vec<Arc<Container>>> {
    for status in filters.values("status") {
        const STATES: [&str; 7] =
            ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
        if !STATES.contains(&status) {
            return Err(ApiError::invalid(format!("invalid filter 'status={status}'")));
        }
    }
    let moment_of = |name| -> ApiResult<Option<u64>> {
        let Some(text) = filters.values(name).next() else { return Ok(None) };
        Ok(Some(service.find(text)?.with_record(|record| record.created_ns)))
    };
    let (before, since) = (moment_of("before")?, moment_of("since")?);
    let all = all || filters.has("status") || filters.has("exited");
    let fits = |container: &Arc<Container>| {
        let created = container.with_record(|record| record.created_ns);
        (all || container.phase().is_up())
            && before.is_none_or(|before| created < before)
            && since.is_none_or(|since| created > since)
            && container.with_record(|record| record_fits(record, filters))
            && container_fits(container, filters)
    };
    Ok(service.all().into_iter().filter(fits).collect())
}

fn record_fits(record: &ContainerRecord, filters: &Filters) -> bool {
    let labels = record.config.labels.clone().unwrap_or_default();
    let exited = |code: &str| {
        record.state.phase == Phase::Exited && code.parse() == Ok(record.state.exit_code)
    };
    let image = |wanted: &str| {
        record.image == wanted
            || record.image.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
            || record.image_id == wanted
            || record.image_id.strip_prefix("sha256:").is_some_and(|id| id.starts_with(wanted))
    };
    let volume = |wanted: &str| {
        record.mounts.iter().any(|mount| {
            mount.target == wanted
                || matches!(&mount.source, MountedSource::Volume { name, .. } if name == wanted)
                || matches!(&mount.source, MountedSource::Bind { path } if path == wanted)
        })
    };
    let network = |wanted: &str| {
        record.endpoints.iter().any(|(name, endpoint)| {
            name == wanted || endpoint.network_id.as_deref() == Some(wanted)
        })
    };
    filters.any("id", |id| record.id.starts_with(id))
        && filters.any("name", |name| name_fits(&record.name, name))
        && filters.any("status", |status| record.state.phase.as_str() == status)
        && filters.any("exited", exited)
        && filters.labels("label", &labels)
        && filters.any("ancestor", image)
        && filters.any("volume", volume)
        && filters.any("network", network)
        && filters.any("is-task", |value| value == "false")
}

/// Docker takes a regular expression here. What clients send are names, whole ones between `^`
/// and `$` with a slash or without; anything between them is a part of the name.
fn name_fits(name: &str, pattern: &str) -> bool {
    let (begin, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (end, rest) = match rest.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let bare = rest.trim_start_matches("/?").trim_start_matches('/');
    match (begin, end) {
        (true, true) => name == bare,
        (true, false) => name.starts_with(bare),
        (false, true) => name.ends_with(bare),
        (false, false) => name.contains(bare),
    }
}

fn container_fits(container: &Container, filters: &Filters) -> bool {
    let spec = container.spec();
    let health = container.health_word();
    let port = |wanted: &str, port: crate::container::spec::ContainerPort| {
        let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
        number.parse() == Ok(port.port) && protocol == port.protocol.as_str()
    };
    filters.any("health", |wanted| wanted == health)
        && filters.any("expose", |wanted| spec.exposed.iter().any(|p| port(wanted, *p)))
        && filters.any("publish", |wanted| spec.published.iter().any(|p| port(wanted, p.container)))
}

pub(super) async fn inspect(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<Json<ContainerInspectResponse>> {
    let container = find(&engine, &id)?;
    let mut document = container.inspect().await;
    let execs = engine.containers.execs().of(&container.id);
    document.exec_ids = (!execs.is_empty()).then_some(execs);
    if query.flag("size") {
        document.size_rw = Some(container.disk_usage());
        document.size_root_fs = Some(container.root_size());
    }
    Ok(Json(document))
}

pub(super) async fn prune(
    State(engine): State<Shared>,
    query: Query,
) -> ApiResult<Json<ContainerPruneResponse>> {
    let filters = query.filters(&["until", "label", "label!"])?;
    let until = match filters.values("until").next() {
        Some(text) => Some(until(text)?),
        None => None,
    };
    let mut deleted = Vec::new();
    let mut reclaimed = 0_i64;
    for container in engine.containers.all() {
        let fits = container.with_record(|record| {
            let labels = record.config.labels.clone().unwrap_or_default();
            !record.state.phase.is_up()
                && filters.labels_for_prune(&labels)
                && until.is_none_or(|until| record.created_ns < until)
        });
        if !fits {
            continue;
        }
        let size = container.disk_usage();
        let options = RemoveOptions { volumes: false, force: false };
        match engine.containers.remove(&container, options).await {
            Ok(()) => {
                reclaimed = reclaimed.saturating_add(size);
                deleted.push(container.id.clone());
            }
            // It was started or removed meanwhile.
            Err(error) => log::debug!("container {} is not pruned: {error}", container.id),
        }
    }
    let actor = crate::events::Actor::default().with("reclaimed", reclaimed.to_string());
    engine.events.emit(crate::events::Kind::Container, "prune", actor);
    Ok(Json(ContainerPruneResponse {
        containers_deleted: Some(deleted),
        space_reclaimed: Some(reclaimed),
    }))
}

/// A moment, or a time that has passed since (`10m`, `1h30m`), in nanoseconds since 1970.
fn until(text: &str) -> ApiResult<u64> {
    let invalid = || ApiError::invalid(format!("invalid filter 'until={text}'"));
    if let Some(moment) = moment::parse(text) {
        return u64::try_from(moment.unix_timestamp_nanos()).map_err(|_| invalid());
    }
    let mut passed = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = rest.split_at(digits);
        let seconds = match unit.chars().next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(invalid()),
        };
        let number: u64 = number.parse().map_err(|_| invalid())?;
        passed = passed.saturating_add(number.saturating_mul(seconds));
        rest = unit.get(1..).unwrap_or_default();
    }
    Ok(moment::now_ns().saturating_sub(passed.saturating_mul(1_000_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_clients_ask_for_them() {
        for (pattern, fits) in [
            ("web", true),
            ("^/web-1$", true),
            ("^/?web-1$", true),
            ("^web-1$", true),
            ("^/web$", false),
            ("/web", true),
            ("1$", true),
            ("db", false),
        ] {
            assert_eq!(name_fits("web-1", pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn ages_are_read() {
        let hour_and_half = 5400 * 1_000_000_000;
        let moment = until("1h30m").unwrap();
        assert!(moment::now_ns() - moment >= hour_and_half);
        assert!(moment::now_ns() - moment < hour_and_half + 60_000_000_000);
        assert!(until("soon").is_err());
    }
}
