//! `/events`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use time::OffsetDateTime;

use super::lines::{Gone, Lines, json_lines};
use super::{ApiError, ApiResult, ApiVersion, Filters, Query, Shared};
use crate::container::moment;
use crate::events::{self, Event, Listener};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/events", get(events))
}

async fn events(State(engine): State<Shared>, version: ApiVersion, query: Query) -> ApiResult {
    let since = moment_of(&query, "since")?;
    let until = moment_of(&query, "until")?;
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(ApiError::invalid("`since` cannot be after `until`"));
    }
    let filters = query.filters(&events::FILTERS)?;
    let mut listener = engine.events.listen(since);
    let (lines, response) = json_lines();
    let told = Told { filters, until, version };
    tokio::spawn(async move {
        let left = lines.clone();
        tokio::select! {
            () = left.gone() => {}
            _ = told.follow(&mut listener, lines) => {}
        }
    });
    Ok(response)
}

fn moment_of(query: &Query, name: &str) -> ApiResult<Option<OffsetDateTime>> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let invalid = || ApiError::invalid(format!("invalid value of {name}: \"{text}\""));
    moment::parse(text).map(Some).ok_or_else(invalid)
}

/// What one client wants to hear.
struct Told {
    filters: Filters,
    until: Option<OffsetDateTime>,
    version: ApiVersion,
}

impl Told {
    async fn follow(&self, listener: &mut Listener, lines: Lines) -> Result<(), Gone> {
        while let Some(event) = listener.past() {
            self.tell(&event, &lines).await?;
        }
        let end = self.end();
        tokio::pin!(end);
        loop {
            let event = tokio::select! {
                event = listener.next() => event,
                () = &mut end => return Ok(()),
            };
            match event {
                Ok(Some(event)) => self.tell(&event, &lines).await?,
                Ok(None) => return Ok(()),
                Err(missed) => {
                    log::warn!("a client that follows events: {missed}");
                    lines.fail(std::io::Error::other(missed)).await;
                    return Ok(());
                }
            }
        }
    }

    /// Done at the moment `until`; never without.
    async fn end(&self) {
        match self.until.map(|until| until - OffsetDateTime::now_utc()) {
            // A moment of the past leaves no time.
            Some(left) => tokio::time::sleep(left.try_into().unwrap_or_default()).await,
            None => std::future::pending().await,
        }
    }

    async fn tell(&self, event: &Arc<Event>, lines: &Lines) -> Result<(), Gone> {
        let late = self.until.is_some_and(|until| event.time > until);
        if late || !events::matches(&self.filters, event) {
            return Ok(());
        }
        lines.send(&event.document(self.version)).await
    }
}
