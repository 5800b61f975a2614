//! A volume, and the rules for one.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{LOCAL, VolumeError};
use crate::store::Record;

/// The label by which Docker knows volumes without a name of their own.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `None` for one without a name of its own.
    pub name: Option<String>,
    /// Empty for the default.
    pub driver: String,
    /// Of the driver.
    pub options: HashMap<String, String>,
    /// Labels.
    pub labels: HashMap<String, String>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Options of the driver, checked.
    pub options: HashMap<String, String>,
    /// Labels.
    pub labels: HashMap<String, String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Its removal has begun.
    #[serde(default)]
    pub(super) removing: bool,
}

impl Record for Volume {
    const TABLE: &'static str = "volumes";
    const VERSION: u32 = 1;
}

impl Volume {
    pub(super) fn new(
        name: &str,
        request: Request,
        anonymous: bool,
        created: OffsetDateTime,
    ) -> Result<Self, VolumeError> {
        check_name(name)?;
        if !matches!(request.driver.as_str(), "" | "default" | LOCAL) {
            return Err(VolumeError::Driver { name: name.to_owned(), driver: request.driver });
        }
        check_options(name, &request.options)?;
        let mut labels = request.labels;
        if anonymous {
            labels.insert(ANONYMOUS.to_owned(), String::new());
        }
        let options = request.options;
        Ok(Self { name: name.to_owned(), options, labels, created, removing: false })
    }

    /// Whether its name was made up.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS)
    }

    /// A folder elsewhere that takes the place of its own.
    #[must_use]
    pub fn device(&self) -> Option<&Path> {
        self.options.get("device").map(Path::new)
    }
}

fn check_name(name: &str) -> Result<(), VolumeError> {
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if begins && (2..=255).contains(&name.len()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err(VolumeError::Name(name.to_owned()))
    }
}

/// The one thing that the options of mount(8) can say here: another folder of the host.
fn check_options(name: &str, options: &HashMap<String, String>) -> Result<(), VolumeError> {
    let refuse = |option: &str| {
        Err(VolumeError::Option { name: name.to_owned(), option: option.to_owned() })
    };
    if options.is_empty() {
        return Ok(());
    }
    if let Some(unknown) =
        options.keys().find(|key| !["type", "o", "device"].contains(&key.as_str()))
    {
        return refuse(unknown);
    }
    let value = |key: &str| options.get(key).map_or("", String::as_str);
    if !matches!(value("type"), "" | "none" | "bind") {
        return refuse(&format!("type={}", value("type")));
    }
    let binds = |word: &str| matches!(word, "bind" | "rbind" | "rw");
    if !value("o").split(',').all(binds) || !value("o").contains("bind") {
        return refuse(&format!("o={}", value("o")));
    }
    let device = Path::new(value("device"));
    if device.is_absolute() { Ok(()) } else { refuse(&format!("device={}", device.display())) }
}
