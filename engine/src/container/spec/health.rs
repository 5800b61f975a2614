//! How a container's health is probed.

use std::time::Duration;

use bollard_stubs::models::{ContainerConfig, HealthConfig};

use super::SpecError;

/// A check to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Between the end of one probe and the next.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// So many failures in a row make a container unhealthy.
    pub retries: u32,
    /// After a start failures do not count for so long.
    pub start_period: Duration,
    /// Between probes during the start period, until one succeeds.
    pub start_interval: Duration,
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;

pub(super) fn read(config: &ContainerConfig) -> Result<Option<HealthSpec>, SpecError> {
    let Some(health) = &config.healthcheck else { return Ok(None) };
    let Some(argv) = argv(config, health)? else { return Ok(None) };
    let or = |value: Duration, default| if value.is_zero() { default } else { value };
    let retries = health.retries.unwrap_or_default();
    let retries = u32::try_from(retries)
        .map_err(|_| SpecError::Invalid("Retries in Healthcheck cannot be negative".to_owned()))?;
    Ok(Some(HealthSpec {
        argv,
        interval: or(duration(health.interval, "Interval")?, DEFAULT_INTERVAL),
        timeout: or(duration(health.timeout, "Timeout")?, DEFAULT_INTERVAL),
        retries: if retries == 0 { DEFAULT_RETRIES } else { retries },
        start_period: duration(health.start_period, "StartPeriod")?,
        start_interval: or(
            duration(health.start_interval, "StartInterval")?,
            DEFAULT_START_INTERVAL,
        ),
    }))
}

fn argv(config: &ContainerConfig, health: &HealthConfig) -> Result<Option<Vec<String>>, SpecError> {
    let test = health.test.as_deref().unwrap_or_default();
    match test.split_first() {
        None => Ok(None),
        Some((kind, _)) if kind == "NONE" => Ok(None),
        Some((kind, words)) if kind == "CMD" && !words.is_empty() => Ok(Some(words.to_vec())),
        Some((kind, words)) if kind == "CMD-SHELL" && !words.is_empty() => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut argv = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            argv.push(words.join(" "));
            Ok(Some(argv))
        }
        Some((kind, _)) => {
            Err(SpecError::Invalid(format!("Unknown health check type: \"{kind}\"")))
        }
    }
}

/// Nanoseconds. Docker wants none or at least a millisecond.
fn duration(nanos: Option<i64>, field: &str) -> Result<Duration, SpecError> {
    match u64::try_from(nanos.unwrap_or_default()) {
        Ok(nanos) if nanos == 0 || nanos >= 1_000_000 => Ok(Duration::from_nanos(nanos)),
        _ => Err(SpecError::Invalid(format!("{field} in Healthcheck cannot be less than 1ms"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(json: &str) -> Result<Option<HealthSpec>, SpecError> {
        let healthcheck = serde_json::from_str(json).unwrap();
        read(&ContainerConfig { healthcheck, ..Default::default() })
    }

    #[test]
    fn docker_s_defaults_hold() {
        let health = health(r#"{"Test":["CMD-SHELL","a && b"]}"#).unwrap().unwrap();
        assert_eq!(health.argv, ["/bin/sh", "-c", "a && b"]);
        assert_eq!(health.interval, Duration::from_secs(30));
        assert_eq!(health.start_interval, Duration::from_secs(5));
        assert_eq!((health.retries, health.start_period), (3, Duration::ZERO));
    }

    #[test]
    fn a_check_can_be_switched_off() {
        assert_eq!(health(r#"{"Test":["NONE"]}"#).unwrap(), None);
        assert_eq!(health("{}").unwrap(), None);
    }

    #[test]
    fn wrong_checks_are_refused() {
        for json in [
            r#"{"Test":["RUN","x"]}"#,
            r#"{"Test":["CMD","x"],"Interval":-1}"#,
            r#"{"Test":["CMD","x"],"Timeout":1000}"#,
            r#"{"Test":["CMD","x"],"Retries":-1}"#,
        ] {
            assert!(health(json).is_err(), "{json}");
        }
    }
}
