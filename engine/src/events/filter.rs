//! Which events a listener wants.

use super::{Event, Kind};
use crate::http::Filters;

/// The filters that there are.
pub const FILTERS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Kinds that there are none of here, so no event passes.
const FOREIGN: [&str; 5] = ["config", "node", "plugin", "secret", "service"];

/// Whether `event` passes all of `filters`.
#[must_use]
pub fn matches(filters: &Filters, event: &Event) -> bool {
    filters.any("event", |wanted| is_action(&event.action, wanted))
        && !FOREIGN.iter().any(|kind| filters.has(kind))
        && filters.exact("type", event.kind.as_str())
        && filters.exact("scope", "local")
        && names(filters, "daemon", event, &[Kind::Daemon])
        && names(filters, "container", event, &[Kind::Container])
        && names(filters, "network", event, &[Kind::Network])
        && names(filters, "volume", event, &[Kind::Volume])
        && filters.any("image", |wanted| is_image(event, wanted))
        && filters.values("label").all(|wanted| has_label(event, wanted))
}

/// `exec_create` stands for every `exec_create: COMMAND`, and `health_status` for each state.
fn is_action(action: &str, wanted: &str) -> bool {
    let rest = action.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// By the name, or by a beginning of the id.
fn names(filters: &Filters, filter: &str, event: &Event, kinds: &[Kind]) -> bool {
    filters.any(filter, |wanted| {
        let name = event.actor.attributes.get("name");
        kinds.contains(&event.kind)
            && (event.actor.id.starts_with(wanted) || name.is_some_and(|name| name == wanted))
    })
}

/// Also for events of containers: theirs is in an attribute. A name without a tag stands for all.
fn is_image(event: &Event, wanted: &str) -> bool {
    let attribute = match event.kind {
        Kind::Image => "name",
        _ => "image",
    };
    let is = |name: &str| {
        let bare = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        name == wanted || bare.is_some_and(|(bare, _)| bare == wanted)
    };
    let by_id = event.kind == Kind::Image && is(&event.actor.id);
    by_id || event.actor.attributes.get(attribute).is_some_and(|name| is(name))
}

fn has_label(event: &Event, wanted: &str) -> bool {
    let attributes = &event.actor.attributes;
    match wanted.split_once('=') {
        Some((key, value)) => attributes.get(key).is_some_and(|have| have == value),
        None => attributes.contains_key(wanted),
    }
}
