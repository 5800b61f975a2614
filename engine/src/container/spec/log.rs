//! Where a container's output is kept, and how much of it.

use bollard_stubs::models::HostConfig;

use super::SpecError;

/// What becomes of a container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSpec {
    /// Nothing is kept.
    None,
    /// Files in the format of Docker's `json-file`.
    Files {
        /// Bytes after which a file is full.
        max_size: u64,
        /// Files that are kept, the newest included.
        max_files: u32,
    },
}

/// Docker's default for `json-file` is no limit; ours is what its `local` driver has, as a
/// machine's output must not fill the host's disk.
const DEFAULT_SIZE: u64 = 20 * 1024 * 1024;
const DEFAULT_FILES: u32 = 5;
/// Smaller files would hold less than one long line.
const LEAST_SIZE: u64 = 1024;
/// Renaming happens for each of them.
const MOST_FILES: u32 = 1000;

impl LogSpec {
    pub(super) fn read(host: &HostConfig) -> Result<Self, SpecError> {
        let config = host.log_config.as_ref();
        let driver = config.and_then(|config| config.typ.as_deref()).unwrap_or_default();
        let mut max_size = DEFAULT_SIZE;
        let mut max_files = DEFAULT_FILES;
        match driver {
            "none" => return Ok(Self::None),
            "" | "json-file" | "local" => {}
            other => return Err(SpecError::Unsupported(format!("the log driver \"{other}\""))),
        }
        for (name, value) in config.and_then(|config| config.config.as_ref()).into_iter().flatten()
        {
            let invalid = || SpecError::Invalid(format!("invalid log-opt {name}: {value:?}"));
            match name.as_str() {
                "max-size" if value == "-1" => max_size = u64::MAX,
                "max-size" => {
                    max_size =
                        bytes(value).filter(|size| *size >= LEAST_SIZE).ok_or_else(invalid)?;
                }
                "max-file" => {
                    let files = value.parse().ok();
                    max_files =
                        files.filter(|n| (1..=MOST_FILES).contains(n)).ok_or_else(invalid)?;
                }
                // They change what is stored besides the lines, or how; nothing that is read.
                "compress" | "mode" | "labels" | "labels-regex" | "env" | "env-regex" | "tag"
                | "max-buffer-size" => {}
                _ => {
                    let text = format!("unknown log opt '{name}' for {driver} log driver");
                    return Err(SpecError::Invalid(text));
                }
            }
        }
        Ok(Self::Files { max_size, max_files })
    }
}

/// `10m`, `512KiB`, `1g`: powers of 1024 as Docker counts memory.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match lower.get(digits.len()..)? {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1_u64 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(json: &str) -> Result<LogSpec, SpecError> {
        LogSpec::read(&serde_json::from_str(&format!(r#"{{"LogConfig":{json}}}"#)).unwrap())
    }

    #[test]
    fn sizes_are_read() {
        let config = r#"{"Type":"json-file","Config":{"max-size":"10m","max-file":"3"}}"#;
        assert_eq!(log(config).unwrap(), LogSpec::Files { max_size: 10 << 20, max_files: 3 });
    }

    #[test]
    fn logs_are_bounded_by_default() {
        let default = LogSpec::Files { max_size: DEFAULT_SIZE, max_files: DEFAULT_FILES };
        assert_eq!(log(r#"{"Type":""}"#).unwrap(), default);
    }

    #[test]
    fn drivers_and_options_that_are_not_there_are_refused() {
        for json in [
            r#"{"Type":"syslog"}"#,
            r#"{"Config":{"max-size":"many"}}"#,
            r#"{"Config":{"max-file":"0"}}"#,
            r#"{"Config":{"max-moon":"1"}}"#,
            r#"{"Config":{"max-size":"99999999999g"}}"#,
        ] {
            assert!(log(json).is_err(), "{json}");
        }
    }
}
