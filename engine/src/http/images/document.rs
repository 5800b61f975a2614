//! An image as Docker shows it.

use std::collections::HashMap;

use bollard_stubs::models::{
    DriverData, ImageHistoryResponseItem, ImageInspect, ImageInspectMetadata, ImageInspectRootFs,
    ImageSummary,
};
use image::Image;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An image's labels.
pub(super) fn labels(image: &Image) -> HashMap<String, String> {
    image.config().config.labels.clone().into_iter().flatten().collect()
}

fn moment(text: Option<&str>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text?, &Rfc3339).ok()
}

fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn inspect(image: &Image) -> Value {
    let config = image.config();
    // Ours and Docker's are the same document; what the stubs do not know is left out.
    let run = serde_json::to_value(&config.config).and_then(serde_json::from_value);
    let layers = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let mut document = json!(ImageInspect {
        id: Some(image.id().to_string()),
        repo_tags: Some(image.repo_tags()),
        repo_digests: Some(image.repo_digests()),
        comment: Some(config.comment.clone().unwrap_or_default()),
        created: moment(config.created.as_deref()),
        author: Some(config.author.clone().unwrap_or_default()),
        config: run.ok(),
        architecture: Some(config.architecture.clone()),
        variant: config.variant.clone(),
        os: Some(config.os.clone()),
        os_version: config.os_version.clone(),
        size: Some(number(image.size())),
        graph_driver: Some(DriverData { name: "erofs".to_owned(), data: HashMap::new() }),
        root_fs: Some(ImageInspectRootFs { typ: "layers".to_owned(), layers: Some(layers) }),
        metadata: Some(ImageInspectMetadata {
            last_tag_time: image.last_tagged().map(OffsetDateTime::from),
        }),
        ..ImageInspect::default()
    });
    if let Some(parent) = image.parent() {
        document["Parent"] = parent.to_string().into();
    }
    document
}

/// `containers` and `shared` are -1 where they were not counted.
pub(super) fn summary(image: &Image, containers: i64, shared: i64) -> ImageSummary {
    ImageSummary {
        id: image.id().to_string(),
        parent_id: image.parent().map(|id| id.to_string()).unwrap_or_default(),
        repo_tags: image.repo_tags(),
        repo_digests: image.repo_digests(),
        created: image.created_seconds(),
        size: number(image.size()),
        shared_size: shared,
        labels: labels(image),
        containers,
        manifests: None,
        descriptor: None,
    }
}

pub(super) fn history(image: &Image) -> Vec<ImageHistoryResponseItem> {
    let entries = image.history().into_iter().map(|entry| ImageHistoryResponseItem {
        id: entry.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        created: moment(entry.step.created.as_deref()).map_or(0, OffsetDateTime::unix_timestamp),
        created_by: entry.step.created_by.unwrap_or_default(),
        tags: entry.tags,
        size: number(entry.size),
        comment: entry.step.comment.unwrap_or_default(),
    });
    entries.collect()
}
