//! Filters of the list of containers.

use std::collections::HashSet;
use std::sync::Arc;

use bollard_stubs::models::ContainerSummary;
use image::Image;

use super::super::filters::Patterns;
use super::super::{ApiError, ApiResult, Filters, Shared};
use crate::container::Container;
use crate::container::record::{ContainerRecord, MountedSource, Phase};

/// The filters that there are.
pub(super) const NAMES: [&str; 15] = [
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

/// The containers that a client wants to see.
pub(super) struct Wanted<'a> {
    filters: &'a Filters,
    all: bool,
    before: Option<u64>,
    since: Option<u64>,
    names: Patterns,
    /// Ids of the images that they are made of.
    images: HashSet<String>,
    published: Vec<PortRange>,
    exposed: Vec<PortRange>,
}

impl<'a> Wanted<'a> {
    /// Without `all` and a filter of states those that run.
    pub(super) fn read(engine: &Shared, filters: &'a Filters, all: bool) -> ApiResult<Self> {
        for status in filters.values("status") {
            const STATES: [&str; 7] =
                ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
            if !STATES.contains(&status) {
                return Err(ApiError::invalid(format!("invalid filter 'status={status}'")));
            }
        }
        let moment_of = |name| -> ApiResult<Option<u64>> {
            let Some(text) = filters.values(name).next() else { return Ok(None) };
            Ok(Some(engine.containers.find(text)?.with_record(|record| record.created_ns)))
        };
        let ports = |name| -> ApiResult<Vec<_>> {
            filters.values(name).map(|text| PortRange::read(name, text)).collect()
        };
        Ok(Self {
            filters,
            all: all || filters.has("status"),
            before: moment_of("before")?,
            since: moment_of("since")?,
            names: filters.patterns("name"),
            images: descendants(engine, filters.values("ancestor")),
            published: ports("publish")?,
            exposed: ports("expose")?,
        })
    }

    /// Those that fit by what they are.
    pub(super) fn containers(&self, engine: &Shared) -> Vec<Arc<Container>> {
        let fits = |container: &Arc<Container>| {
            let created = container.with_record(|record| record.created_ns);
            let health = container.health_word();
            (self.all || container.phase().is_up())
                && self.before.is_none_or(|before| created < before)
                && self.since.is_none_or(|since| created > since)
                && container.with_record(|record| self.has_record(record))
                && self.filters.any("health", |wanted| wanted == health)
        };
        engine.containers.all().into_iter().filter(fits).collect()
    }

    fn has_record(&self, record: &ContainerRecord) -> bool {
        let filters = self.filters;
        let labels = record.config.labels.clone().unwrap_or_default();
        let exited = |code: &str| {
            record.state.phase == Phase::Exited && code.parse() == Ok(record.state.exit_code)
        };
        let volume = |wanted: &str| {
            record.mounts.iter().any(|mount| {
                mount.target == wanted
                    || matches!(&mount.source, MountedSource::Volume { name, .. } if name == wanted)
                    || matches!(&mount.source, MountedSource::Bind { path } if path == wanted)
            })
        };
        filters.any("id", |id| record.id.starts_with(id))
            // A name is asked for with its slash or without.
            && (self.names.fit(&record.name) || self.names.fit(&format!("/{}", record.name)))
            && filters.any("status", |status| record.state.phase.as_str() == status)
            && filters.any("exited", exited)
            && filters.labels("label", &labels)
            && (!filters.has("ancestor") || self.images.contains(&record.image_id))
            && filters.any("volume", volume)
            && filters.any("is-task", |value| value == "false")
    }

    /// Whether it also fits by its networks and ports.
    pub(super) fn is_reached(&self, summary: &ContainerSummary) -> bool {
        let networks = summary.network_settings.as_ref().and_then(|all| all.networks.as_ref());
        let network = |wanted: &str| {
            networks.into_iter().flatten().any(|(name, endpoint)| {
                let id = endpoint.network_id.as_deref().unwrap_or_default();
                name == wanted || id.starts_with(wanted)
            })
        };
        self.filters.any("network", network) && self.has_port(summary)
    }

    fn has_port(&self, summary: &ContainerSummary) -> bool {
        if self.published.is_empty() && self.exposed.is_empty() {
            return true;
        }
        summary.ports.iter().flatten().any(|port| {
            let protocol = port.typ.map(|typ| typ.to_string()).unwrap_or_default();
            let holds = |ranges: &[PortRange], number: u16| {
                ranges.iter().any(|range| range.holds(number, &protocol))
            };
            port.public_port.is_some_and(|number| holds(&self.published, number))
                || holds(&self.exposed, port.private_port)
        })
    }
}

/// The images of these names and those made of them. Names of none mean none.
fn descendants<'a>(engine: &Shared, names: impl Iterator<Item = &'a str>) -> HashSet<String> {
    let store = engine.images.store();
    let mut found: HashSet<_> =
        names.filter_map(|name| store.find(name).ok()).map(|image| image.id()).collect();
    if found.is_empty() {
        return HashSet::new();
    }
    let images = store.images();
    let made_of = |image: &Image, found: &HashSet<_>| {
        image.parent().is_some_and(|parent| found.contains(&parent))
    };
    loop {
        let more: Vec<_> = images
            .iter()
            .filter(|image| !found.contains(&image.id()) && made_of(image, &found))
            .map(Image::id)
            .collect();
        if more.is_empty() {
            return found.into_iter().map(|id| id.to_string()).collect();
        }
        found.extend(more);
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
#[derive(Debug, PartialEq, Eq)]
struct PortRange {
    first: u16,
    last: u16,
    protocol: String,
}

impl PortRange {
    fn read(filter: &str, text: &str) -> ApiResult<Self> {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let ends = first.parse().ok().zip(last.parse().ok());
        let (first, last) = ends
            .filter(|(first, last)| first <= last)
            .ok_or_else(|| ApiError::invalid(format!("invalid filter '{filter}={text}'")))?;
        Ok(Self { first, last, protocol: protocol.to_ascii_lowercase() })
    }

    fn holds(&self, port: u16, protocol: &str) -> bool {
        (self.first..=self.last).contains(&port) && self.protocol == protocol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_asked_for_alone_or_in_ranges() {
        let range = |text| PortRange::read("publish", text).unwrap();
        assert!(range("8000-8010/tcp").holds(8010, "tcp"));
        assert!(!range("8000-8010").holds(8011, "tcp"));
        assert!(!range("53/udp").holds(53, "tcp"));
        for text in ["", "x", "9-8", "80:80", "70000"] {
            assert!(PortRange::read("publish", text).is_err(), "{text:?}");
        }
    }
}
