//! Lists of containers, and one in detail.

use axum::Json;
use axum::extract::{Path, State};
use bollard_stubs::models::ContainerPruneResponse;
use serde_json::{Value, json};

use super::super::{ApiError, ApiResult, ApiVersion, Query, Shared, older_versions, zero_values};
use super::filter::{self, Wanted};
use super::find;
use crate::container::life::RemoveOptions;
use crate::container::moment;

pub(super) async fn list(
    State(engine): State<Shared>,
    version: ApiVersion,
    query: Query,
) -> ApiResult<Json<Vec<Value>>> {
    let filters = query.filters(&filter::NAMES)?;
    let limit = query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0);
    let all = query.flag("all") || limit.is_some();
    let wanted = Wanted::read(&engine, &filters, all)?;
    let size = query.flag("size");
    let mut summaries = Vec::new();
    for container in wanted.containers(&engine) {
        if summaries.len() >= limit.unwrap_or(usize::MAX) {
            break;
        }
        let mut summary = container.summary().await;
        if !wanted.is_reached(&summary) {
            continue;
        }
        if size {
            summary.size_rw = Some(container.disk_usage());
            summary.size_root_fs = Some(container.root_size());
        }
        let mut document = json!(summary);
        zero_values::in_endpoints(&mut document);
        older_versions::listed_container(&mut document, version);
        summaries.push(document);
    }
    Ok(Json(summaries))
}

pub(super) async fn inspect(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> ApiResult<Json<Value>> {
    let container = find(&engine, &id)?;
    let mut document = container.inspect().await;
    let execs = engine.containers.execs().of(&container.id);
    document.exec_ids = (!execs.is_empty()).then_some(execs);
    if query.flag("size") {
        document.size_rw = Some(container.disk_usage());
        document.size_root_fs = Some(container.root_size());
    }
    let mut document = json!(document);
    zero_values::in_container(&mut document);
    older_versions::container(&mut document, version, container.wanted_mac());
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
    fn ages_are_read() {
        let hour_and_half = 5400 * 1_000_000_000;
        let moment = until("1h30m").unwrap();
        assert!(moment::now_ns() - moment >= hour_and_half);
        assert!(moment::now_ns() - moment < hour_and_half + 60_000_000_000);
        assert!(until("soon").is_err());
    }
}
