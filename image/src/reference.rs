//! Names of images, by Docker's rules: `busybox` is `docker.io/library/busybox:latest`.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// The registry that names without one mean.
pub const DEFAULT_REGISTRY: &str = "docker.io";

const DEFAULT_TAG: &str = "latest";

/// A repository of a registry, and a tag or digest in it (or both; the digest counts).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It breaks the grammar.
    #[error("invalid reference format: {0:?}")]
    Format(String),
    /// Names are lower-case.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    /// It could not be told from an image's id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// A digest other than SHA-256.
    #[error("invalid reference {0:?}: only SHA-256 digests are known")]
    Algorithm(String),
}

impl Reference {
    /// The registry, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry, as `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is named or meant.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is named.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for: the digest, or else the tag.
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The same repository with another tag, and no digest.
    ///
    /// # Errors
    ///
    /// The tag breaks the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        format!("{}:{tag}", self.name()).parse()
    }

    /// The same repository with a digest, and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same without a digest; with the default tag if there was none.
    pub fn without_digest(&self) -> Self {
        let tag = self.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned());
        Self { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// Registry and repository in full, as `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as users write them, as `busybox`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        let repository = &self.repository;
        let short = match repository.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official,
            _ => repository,
        };
        // What is short must not mean something else: a registry, or an id.
        let first = short.split_once('/').map_or("", |(first, _)| first);
        match first.contains('.') || first == "localhost" || Digest::from_hex(short).is_some() {
            true => self.name(),
            false => short.to_owned(),
        }
    }

    /// The whole as users write it, as `busybox:latest`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    /// The full name with the tag or digest and nothing meant: what a store looks up.
    pub fn key(&self) -> String {
        match self.digest {
            Some(digest) => format!("{}@{digest}", self.name()),
            None => self.to_string(),
        }
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        match self.digest {
            Some(digest) => format!("{name}@{digest}"),
            None => name,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Digest::from_hex(text).is_some() {
            return Err(InvalidReference::LooksLikeId(text.to_owned()));
        }
        let name = text.split_once('@').map_or(text, |(name, _)| name);
        let path = name.split_once('/').map_or(name, |(_, path)| path);
        let path = path.rsplit_once(':').map_or(path, |(path, _)| path);
        let parsed: oci_spec::distribution::Reference = text.parse().map_err(|_| {
            let shown = text.chars().take(300).collect();
            match path.contains(|c: char| c.is_ascii_uppercase()) {
                true => InvalidReference::UpperCase(path.chars().take(300).collect()),
                false => InvalidReference::Format(shown),
            }
        })?;
        if parsed.repository().contains(|c: char| c.is_ascii_uppercase()) {
            return Err(InvalidReference::UpperCase(parsed.repository().to_owned()));
        }
        let digest = parsed
            .digest()
            .map(|digest| digest.parse().map_err(|_| InvalidReference::Algorithm(text.to_owned())))
            .transpose()?;
        Ok(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn canonical(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    fn familiar(text: &str) -> String {
        text.parse::<Reference>().unwrap().familiar()
    }

    #[test]
    fn short_names_mean_docker_hub_and_latest() {
        assert_eq!(canonical("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(canonical("bitnami/redis:7"), "docker.io/bitnami/redis:7");
        assert_eq!(canonical("docker.io/busybox"), "docker.io/library/busybox:latest");
        assert_eq!(canonical("index.docker.io/a/b"), "docker.io/a/b:latest");
    }

    #[test]
    fn first_part_with_dot_port_or_localhost_is_a_registry() {
        assert_eq!(canonical("quay.io/a"), "quay.io/a:latest");
        assert_eq!(canonical("localhost/a:b"), "localhost/a:b");
        assert_eq!(canonical("127.0.0.1:5000/a/b/c:1"), "127.0.0.1:5000/a/b/c:1");
        assert_eq!(canonical("host:5000/a"), "host:5000/a:latest");
    }

    #[test]
    fn users_see_no_default_registry() {
        assert_eq!(familiar("docker.io/library/busybox:1.36"), "busybox:1.36");
        assert_eq!(familiar("bitnami/redis"), "bitnami/redis:latest");
        assert_eq!(familiar("localhost:5000/busybox"), "localhost:5000/busybox:latest");
        assert_eq!(familiar(&format!("busybox@{DIGEST}")), format!("busybox@{DIGEST}"));
    }

    #[test]
    fn familiar_names_mean_the_same() {
        for name in ["docker.io/a.b/c:1", "docker.io/localhost/a:1", "docker.io/library/a/b:1"] {
            assert_eq!(canonical(&familiar(name)), name);
        }
        let like_an_id = format!("docker.io/library/{}:1", &DIGEST[7..]);
        assert_eq!(canonical(&familiar(&like_an_id)), like_an_id);
    }

    #[test]
    fn digest_counts_where_a_tag_stands_beside_it() {
        let both: Reference = format!("busybox:1@{DIGEST}").parse().unwrap();
        assert_eq!(both.wanted(), DIGEST);
        assert_eq!(both.key(), format!("docker.io/library/busybox@{DIGEST}"));
        assert_eq!(both.without_digest().to_string(), "docker.io/library/busybox:1");
    }

    #[test]
    fn names_that_break_the_grammar_are_refused() {
        for text in ["", ":", "a:", "a b", "-a", "a//b", "a:b:c", "../a", "a@sha256:12"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        for text in ["Busybox", "Team/app", "localhost:5000/Team/app"] {
            assert!(matches!(text.parse::<Reference>(), Err(InvalidReference::UpperCase(_))));
        }
        assert!(matches!(DIGEST[7..].parse::<Reference>(), Err(InvalidReference::LooksLikeId(_))));
    }
}
