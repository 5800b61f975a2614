//! The files of an archive that tell of the others.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Docker's list of images in the archive.
pub(super) const MANIFEST: &str = "manifest.json";
/// The OCI's.
pub(super) const INDEX: &str = "index.json";
/// The file that makes a folder an OCI layout, and what is in it.
pub(super) const LAYOUT: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
/// Where blobs are in an OCI layout.
pub(super) const BLOBS: &str = "blobs/sha256/";

/// The annotation with the full name of an image.
pub(super) const NAME: &str = "io.containerd.image.name";
/// The annotation with its tag; some tools write the full name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image in `manifest.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

/// A path in the archive without what does not matter; none if it leads out of it.
pub(super) fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Links in the archive, from path to path: older archives link layers that images share.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<String, String>);

impl Links {
    pub(super) fn insert(&mut self, path: &str, target: &str, symbolic: bool) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let target = match symbolic {
            true => normal(&format!("{folder}/{target}")),
            false => normal(target),
        };
        if let Some(target) = target {
            self.0.insert(path.to_owned(), target);
        }
    }

    /// Where a path leads; links in a circle lead nowhere.
    pub(super) fn follow<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path;
        for _ in 0..10 {
            match self.0.get(path) {
                Some(target) => path = target,
                None => return path,
            }
        }
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_archive() {
        assert_eq!(normal("./a//b/../c"), Some("a/c".to_owned()));
        assert_eq!(normal("/abs"), Some("abs".to_owned()));
        assert_eq!(normal("../x"), None);
    }

    #[test]
    fn links_are_followed_but_not_in_circles() {
        let mut links = Links::default();
        links.insert("a/layer.tar", "../b/layer.tar", true);
        links.insert("b/layer.tar", "c/layer.tar", false);
        links.insert("x", "y", false);
        links.insert("y", "x", false);
        assert_eq!(links.follow("a/layer.tar"), "c/layer.tar");
        assert_eq!(links.follow("other"), "other");
        assert_eq!(links.follow("x"), "");
    }
}
