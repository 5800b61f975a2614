//! What containers use.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bollard_stubs::models::ContainerTopResponse;

use super::super::lines::{Gone, Lines, json_lines};
use super::super::{ApiResult, Query, Shared};
use super::find;
use crate::container::Container;
use crate::container::stats::Sample;

/// Between two samples, as with Docker.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn top(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult<Json<ContainerTopResponse>> {
    let options = query.text("ps_args").unwrap_or_default();
    Ok(Json(find(&engine, &id)?.top(options).await?))
}

pub(super) async fn stats(
    State(engine): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> ApiResult {
    let container = find(&engine, &id)?;
    if query.flag_or("stream", true) {
        let (lines, response) = json_lines();
        tokio::spawn(async move {
            let gone = lines.clone();
            tokio::select! {
                () = gone.gone() => {}
                // A client that has gone is the other way to end.
                _ = follow(&container, &lines) => {}
            }
        });
        return Ok(response);
    }
    let mut before = None;
    if !query.flag("one-shot") {
        before = sample(&container).await;
        if before.is_some() {
            tokio::time::sleep(INTERVAL).await;
        }
    }
    let now = sample(&container).await;
    Ok(Json(container.stats(before.as_ref(), now.as_ref())).into_response())
}

/// None where it does not run.
async fn sample(container: &Container) -> Option<Sample> {
    match container.sample().await {
        Ok(sample) => Some(sample),
        Err(error) => {
            log::debug!("container {}: no figures: {error}", container.id);
            None
        }
    }
}

async fn follow(container: &Arc<Container>, lines: &Lines) -> Result<(), Gone> {
    let mut before = None;
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = sample(container).await;
        lines.send(&container.stats(before.as_ref(), now.as_ref())).await?;
        before = now;
        if container.is_removed() {
            return Ok(());
        }
    }
}
