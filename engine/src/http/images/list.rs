//! The list of images and its filters.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use bollard_stubs::models::ImageSummary;
use image::{Image, ImageId, Reference};
use serde_json::{Value, json};

use super::super::{ApiResult, ApiVersion, Filters, Query, Shared, older_versions};
use super::document;
use crate::image_service::ImageError;

const FILTERS: [&str; 7] = ["before", "dangling", "label", "label!", "reference", "since", "until"];

pub(super) async fn list(
    State(engine): State<Shared>,
    version: ApiVersion,
    query: Query,
) -> ApiResult<Json<Vec<Value>>> {
    let filters = query.filters(&FILTERS)?;
    let chosen = Chosen::read(&engine, &filters, query.flag("all"))?;
    let mut images = engine.images.store().images();
    let parents: Vec<_> = images.iter().filter_map(Image::parent).collect();
    images.retain(|image| chosen.passes(image, &parents));
    images.sort_by_key(|image| std::cmp::Reverse(image.created_seconds()));
    let summaries = images.iter().map(|image| {
        let mut summary = document::summary(image, -1, -1);
        // Of the names only those that were asked for.
        summary.repo_tags = called(image.tags(), &filters);
        summary.repo_digests = called(image.digests(), &filters);
        let mut document = json!(summary);
        older_versions::listed_image(&mut document, version);
        document
    });
    Ok(Json(summaries.collect()))
}

/// All images with how many containers use them and how much they share.
pub(in super::super) fn summaries(engine: &Shared) -> Vec<ImageSummary> {
    let usage = engine.images.store().usage();
    let mut containers: HashMap<ImageId, i64> = HashMap::new();
    for container in engine.containers.all() {
        if let Ok(id) = container.with_record(|record| record.image_id.parse()) {
            *containers.entry(id).or_default() += 1;
        }
    }
    let images = engine.images.store().images();
    let summaries = images.iter().map(|image| {
        let shared = usage.images.get(&image.id()).map_or(0, |usage| usage.shared);
        let users = containers.get(&image.id()).copied().unwrap_or_default();
        document::summary(image, users, i64::try_from(shared).unwrap_or(i64::MAX))
    });
    summaries.collect()
}

struct Chosen<'a> {
    filters: &'a Filters,
    all: bool,
    dangling: Option<bool>,
    before: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
}

impl<'a> Chosen<'a> {
    fn read(engine: &Shared, filters: &'a Filters, all: bool) -> ApiResult<Self> {
        let created = |filter: &str| match filters.values(filter).next() {
            Some(name) => {
                let image = engine.images.store().find(name).map_err(ImageError::from)?;
                ApiResult::Ok(Some(image.created_seconds()))
            }
            None => Ok(None),
        };
        Ok(Self {
            filters,
            all,
            dangling: filters.flag("dangling")?,
            before: created("before")?,
            since: created("since")?,
            until: filters.until()?.map(time::OffsetDateTime::unix_timestamp),
        })
    }

    fn passes(&self, image: &Image, parents: &[ImageId]) -> bool {
        let created = image.created_seconds();
        // Steps on the way to other images are not shown.
        let is_step = image.is_dangling() && parents.contains(&image.id());
        (self.all || !is_step)
            && self.dangling.is_none_or(|dangling| dangling == (image.is_dangling() && !is_step))
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created <= until)
            && self.filters.labels_for_prune(&document::labels(image))
            && self.filters.any("reference", |pattern| is_called(image, pattern))
    }
}

/// Whether a name of the image fits the pattern, as users write it or in full.
fn is_called(image: &Image, pattern: &str) -> bool {
    image.tags().iter().chain(image.digests()).any(|name| name_fits(name, pattern))
}

fn called(names: &[Reference], filters: &Filters) -> Vec<String> {
    let wanted = |name: &&Reference| filters.any("reference", |pattern| name_fits(name, pattern));
    names.iter().filter(wanted).map(Reference::familiar).collect()
}

fn name_fits(name: &Reference, pattern: &str) -> bool {
    let forms = [name.familiar(), name.familiar_name(), name.to_string(), name.name()];
    forms.iter().any(|form| fits(pattern, form))
}

/// `*` stands for any text without a slash, `?` for one character of it. Linear in the text for
/// each star, so that no pattern takes long.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&wanted) if wanted == character || (wanted == '?' && character != '/') => {
                p += 1;
                t += 1;
            }
            _ => match star {
                // The star takes one more.
                Some((at, taken)) if text.get(taken) != Some(&'/') => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                _ => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|left| *left == '*'))
}

#[cfg(test)]
mod tests {
    use super::{fits, name_fits};

    #[test]
    fn names_fit_as_users_write_them_and_in_full() {
        let fits = |pattern: &str, name: &str| name_fits(&name.parse().unwrap(), pattern);
        assert!(fits("app", "app:1"));
        assert!(fits("docker.io/library/app:*", "app:1"));
        assert!(fits("docker.io/team/app", "team/app:1"));
        assert!(!fits("app", "team/app:1"));
        assert!(!fits("app:1", "team/app:1"));
    }

    #[test]
    fn stars_stop_at_slashes() {
        assert!(fits("busy*", "busybox"));
        assert!(fits("*", "busybox"));
        assert!(fits("*/app:?", "team/app:1"));
        assert!(fits("b*o*", "busybox"));
        assert!(!fits("*", "team/app"));
        assert!(!fits("busy", "busybox"));
        assert!(!fits("busybox?", "busybox"));
        assert!(!fits("team?app", "team/app"));
    }
}
