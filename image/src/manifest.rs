//! Manifests and lists of manifests, in the forms of Docker (schema 2) and of the OCI.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// Longer documents are refused unread: the distribution specification asks for no more.
pub const MAX_MANIFEST: u64 = 4 << 20;

/// As many layers as a disk has partitions for, and Docker allows.
pub const MAX_LAYERS: usize = 127;

/// The OCI's manifest of one image.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The OCI's list of manifests.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's manifest of one image.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image's configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A layer as it is.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer compressed with Zstandard.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// A layer compressed with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a manifest says of another blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// For lists: what the manifest's image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free-form notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    /// Which of the two forms it has.
    #[serde(default)]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// A list of manifests, one for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List {
    schema_version: u32,
    /// Which of the two forms it has.
    #[serde(default)]
    pub media_type: String,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
}

/// What stands under a name in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Image(Manifest),
    /// One for each of several platforms.
    List(List),
}

/// A document that is no manifest of an image.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not what the specifications say.
    #[error("the manifest does not parse")]
    Parse(#[from] serde_json::Error),
    /// It can be read in two ways.
    #[error("the manifest has both layers and manifests")]
    Ambiguous,
    /// Neither layers nor manifests.
    #[error("the manifest has neither layers nor manifests")]
    Neither,
    /// Docker's first form, which no registry serves to clients of today.
    #[error("manifests of schema {0} are not read; push the image again with a newer client")]
    Schema(u32),
    /// Something else that registries keep: a chart, a signature, a module.
    #[error("it is an OCI artifact ({0}), not an image")]
    Artifact(String),
    /// A layer that is no tar archive.
    #[error("it has a layer of unknown type {0}")]
    LayerType(String),
    /// More layers than a machine has partitions for.
    #[error("it has {0} layers, more than {MAX_LAYERS}")]
    Layers(usize),
    /// A list in a list.
    #[error("its manifest list has another in it")]
    Nested,
    /// None of the list's images runs here.
    #[error("no matching manifest for {wanted} in the manifest list, which offers {}", .offered.join(", "))]
    Platform {
        /// What was wanted.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u32,
    artifact_type: Option<String>,
    layers: Option<serde_json::Value>,
    manifests: Option<serde_json::Value>,
}

impl Document {
    /// Reads what a registry or an archive gave.
    ///
    /// # Errors
    ///
    /// It is no manifest, or of something that is no image.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let shape: Shape = serde_json::from_slice(text)?;
        match (shape.layers.is_some(), shape.manifests.is_some()) {
            (true, true) => return Err(ManifestError::Ambiguous),
            _ if shape.schema_version != 2 => {
                return Err(ManifestError::Schema(shape.schema_version));
            }
            (false, false) => match shape.artifact_type {
                Some(kind) => return Err(ManifestError::Artifact(kind)),
                None => return Err(ManifestError::Neither),
            },
            (false, true) => return Ok(Self::List(serde_json::from_slice(text)?)),
            (true, false) => {}
        }
        let manifest: Manifest = serde_json::from_slice(text)?;
        manifest.check(shape.artifact_type)?;
        Ok(Self::Image(manifest))
    }
}

impl Manifest {
    /// A manifest of our own making.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: OCI_MANIFEST.to_owned(), config, layers }
    }

    /// The type to announce to a registry: early OCI manifests do not say theirs.
    pub fn effective_media_type(&self) -> &str {
        match self.media_type.as_str() {
            "" => OCI_MANIFEST,
            known => known,
        }
    }

    fn check(&self, artifact_type: Option<String>) -> Result<(), ManifestError> {
        let config_type = self.config.media_type.as_str();
        if ![OCI_CONFIG, DOCKER_CONFIG, ""].contains(&config_type) {
            let kind = artifact_type.unwrap_or_else(|| config_type.to_owned());
            return Err(ManifestError::Artifact(kind));
        }
        if self.layers.len() > MAX_LAYERS {
            return Err(ManifestError::Layers(self.layers.len()));
        }
        match self.layers.iter().find(|layer| !is_layer(&layer.media_type)) {
            Some(layer) => Err(ManifestError::LayerType(layer.media_type.clone())),
            None => Ok(()),
        }
    }
}

/// How a layer is compressed is seen from its first bytes, not believed from its type.
fn is_layer(media_type: &str) -> bool {
    media_type.is_empty()
        || media_type.starts_with(OCI_LAYER)
        || media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
        || media_type.starts_with("application/vnd.docker.image.rootfs.diff.tar")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
}

impl List {
    /// A list of our own making.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: OCI_INDEX.to_owned(), manifests }
    }

    /// The manifest of the image that runs on `wanted`.
    ///
    /// # Errors
    ///
    /// There is none; the error names what there is.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor, ManifestError> {
        let platforms = || self.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        let served = |entry: &&Descriptor| {
            entry.platform.as_ref().is_none_or(|platform| platform.serves(wanted))
        };
        self.manifests.iter().find(served).ok_or_else(|| ManifestError::Platform {
            wanted: wanted.to_string(),
            // "unknown" are a builder's attestations.
            offered: platforms()
                .filter(|platform| platform.os != "unknown")
                .map(ToString::to_string)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn entry(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":2}}"#)
    }

    fn image(config: &str, layer: &str) -> Result<Document, ManifestError> {
        let (config, layer) = (entry(config), entry(layer));
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
        Document::parse(text.as_bytes())
    }

    fn list(platforms: &[&str]) -> List {
        List::new(
            platforms
                .iter()
                .enumerate()
                .map(|(size, platform)| Descriptor {
                    media_type: OCI_MANIFEST.to_owned(),
                    digest: Digest::of(b""),
                    size: size as u64,
                    platform: Some(platform.parse().unwrap()),
                    annotations: None,
                })
                .collect(),
        )
    }

    #[test]
    fn both_forms_of_an_image_are_read() {
        assert!(matches!(image(OCI_CONFIG, OCI_LAYER_GZIP), Ok(Document::Image(_))));
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert!(matches!(image(DOCKER_CONFIG, docker), Ok(Document::Image(_))));
    }

    #[test]
    fn artifacts_are_refused_by_their_type() {
        let helm = "application/vnd.cncf.helm.config.v1+json";
        let error = image(helm, OCI_LAYER_GZIP).unwrap_err();
        assert_eq!(error.to_string(), format!("it is an OCI artifact ({helm}), not an image"));
        let error = image(OCI_CONFIG, "application/wasm").unwrap_err();
        assert!(matches!(error, ManifestError::LayerType(kind) if kind == "application/wasm"));
    }

    #[test]
    fn document_that_reads_in_two_ways_is_refused() {
        let config = entry(OCI_CONFIG);
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        assert!(matches!(Document::parse(text.as_bytes()), Err(ManifestError::Ambiguous)));
        let first = br#"{"schemaVersion":1,"fsLayers":[]}"#;
        assert!(matches!(Document::parse(first), Err(ManifestError::Schema(1))));
    }

    #[test]
    fn more_layers_than_partitions_are_refused() {
        let layers = vec![entry(OCI_LAYER_GZIP); 128].join(",");
        let config = entry(OCI_CONFIG);
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        assert!(matches!(Document::parse(text.as_bytes()), Err(ManifestError::Layers(128))));
    }

    #[test]
    fn list_gives_the_platform_that_is_wanted() {
        let list = list(&["linux/arm64/v8", "linux/amd64", "unknown/unknown"]);
        assert_eq!(list.choose(&"linux/amd64".parse().unwrap()).unwrap().size, 1);
        assert_eq!(list.choose(&"linux/arm64".parse().unwrap()).unwrap().size, 0);
    }

    #[test]
    fn list_without_the_platform_names_what_there_is() {
        let error = list(&["linux/arm64", "windows/amd64", "unknown/unknown"])
            .choose(&"linux/amd64".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "no matching manifest for linux/amd64 in the manifest list, which offers \
             linux/arm64, windows/amd64"
        );
    }
}
