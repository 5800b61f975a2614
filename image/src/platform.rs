//! For which machines an image is made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operating system and a processor, by Go's names for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// As `linux`.
    #[serde(default)]
    pub os: String,
    /// As `v8`; empty where there is nothing to tell apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The version of Windows that an image wants.
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
}

/// A text that is no platform.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {0:?}: expected os/architecture[/variant]")]
pub struct InvalidPlatform(String);

impl Platform {
    /// That of this machine's guests.
    pub fn of_guests() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self::new("linux", architecture, "")
    }

    fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.to_owned(),
            os_version: String::new(),
        }
    }

    /// Whether what is made for `self` serves where `wanted` is wanted.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.normal_variant() == self.normal_variant())
    }

    /// 64-bit ARM without a variant means v8, and x86-64 v1 is no more than amd64.
    fn normal_variant(&self) -> &str {
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("arm64", "v8") | ("amd64", "v1") => "",
            (_, variant) => variant,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let variant = match parts.as_slice() {
            [_, _] => "",
            [_, _, variant] => variant,
            _ => return Err(InvalidPlatform(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(InvalidPlatform(text.to_owned()));
        }
        let architecture = match parts[1] {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self::new(parts[0], architecture, variant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn variant_that_says_nothing_does_not_matter() {
        assert!(platform("linux/arm64/v8").serves(&platform("linux/aarch64")));
        assert!(!platform("linux/arm/v6").serves(&platform("linux/arm/v7")));
        assert!(!platform("windows/amd64").serves(&platform("linux/amd64")));
    }

    #[test]
    fn platform_wants_two_or_three_parts() {
        for text in ["", "linux", "linux/", "linux/arm/v7/x"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
    }
}
