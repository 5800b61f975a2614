//! `/logger` and `/metrics`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::object::only_objects;

/// Where and how the monitor logs. Fields that are not given stay as they are, but for the level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Logger {
    /// Host path of a file or named pipe.
    pub log_path: Option<String>,
    /// What is logged; `Info` if not given.
    pub level: Option<LogLevel>,
    /// Whether lines say their level.
    pub show_level: Option<bool>,
    /// Whether lines say the source file and line that they come from.
    pub show_log_origin: Option<bool>,
    /// Only lines of modules that start so.
    pub module: Option<String>,
}

/// What is logged. Read in any mix of letter cases; `Warning` is read as `Warn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Everything.
    Trace,
    /// What a developer wants.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

impl LogLevel {
    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "off" => Self::Off,
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom("Invalid LevelFilter"))
    }
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::Off,
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

/// Where the monitor writes its metrics, one JSON object a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Metrics {
    /// Host path of a file or named pipe.
    pub metrics_path: String,
    /// Whether each line has the machine's id.
    #[serde(default)]
    pub emit_id: bool,
    /// Further text that each line has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
}

only_objects!(Logger, Metrics);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_read_in_any_case() {
        assert_eq!(serde_json::from_str::<LogLevel>("\"WARNING\"").unwrap(), LogLevel::Warn);
        assert!(serde_json::from_str::<LogLevel>("\"loud\"").is_err());
    }
}
