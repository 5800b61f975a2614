//! When a container is started again by itself, and how long that waits.

use std::time::Duration;

use bollard_stubs::models::{HostConfig, RestartPolicyNameEnum};

use super::SpecError;

/// What is to happen when the first process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Nothing.
    No,
    /// Start again if it failed, so many times; `None` for ever.
    OnFailure(Option<u64>),
    /// Start again, also when the engine starts.
    Always,
    /// As `Always`, but not when the engine starts and a user had stopped it.
    UnlessStopped,
}

/// A container that ran so long starts over with the first wait.
const SETTLED: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

impl RestartPolicy {
    pub(super) fn read(host: &HostConfig) -> Result<Self, SpecError> {
        let Some(policy) = &host.restart_policy else { return Ok(Self::No) };
        let most = policy.maximum_retry_count.unwrap_or_default();
        let name = policy.name.unwrap_or(RestartPolicyNameEnum::EMPTY);
        if most != 0 && name != RestartPolicyNameEnum::ON_FAILURE {
            let text =
                "invalid restart policy: maximum retry count can only be used with 'on-failure'";
            return Err(SpecError::Invalid(text.to_owned()));
        }
        let policy = match name {
            RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO => Self::No,
            RestartPolicyNameEnum::ALWAYS => Self::Always,
            RestartPolicyNameEnum::UNLESS_STOPPED => Self::UnlessStopped,
            RestartPolicyNameEnum::ON_FAILURE => {
                let most = u64::try_from(most).map_err(|_| {
                    let text = "invalid restart policy: maximum retry count cannot be negative";
                    SpecError::Invalid(text.to_owned())
                })?;
                Self::OnFailure(Some(most).filter(|most| *most != 0))
            }
        };
        if policy != Self::No && host.auto_remove.unwrap_or_default() {
            let text = "can't create 'AutoRemove' container with restart policy";
            return Err(SpecError::Invalid(text.to_owned()));
        }
        Ok(policy)
    }

    /// Whether to start again after an end with `code`, having done so `count` times.
    #[must_use]
    pub fn applies(self, code: i64, count: u64) -> bool {
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure(most) => code != 0 && most.is_none_or(|most| count < most),
        }
    }

    /// Whether a container that is not running is to be started with the engine.
    #[must_use]
    pub fn applies_at_engine_start(self, stopped_by_user: bool) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessStopped => !stopped_by_user,
            Self::No | Self::OnFailure(_) => false,
        }
    }
}

/// How long to wait before the next start: twice as long each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    /// The wait after a run of this length.
    pub fn next(&mut self, ran: Duration) -> Duration {
        let wait = match self.last {
            Some(last) if ran < SETTLED => last.saturating_mul(2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<RestartPolicy, SpecError> {
        RestartPolicy::read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut back_off = BackOff::default();
        let waits: Vec<_> =
            (0..12).map(|_| back_off.next(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[9..], [51_200, 60_000, 60_000]);
    }

    #[test]
    fn a_container_that_ran_for_ten_seconds_starts_over() {
        let mut back_off = BackOff::default();
        back_off.next(Duration::ZERO);
        back_off.next(Duration::ZERO);
        assert_eq!(back_off.next(Duration::from_secs(10)), FIRST);
    }

    #[test]
    fn failures_are_counted() {
        let policy =
            policy(r#"{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}"#).unwrap();
        assert!(policy.applies(1, 1));
        assert!(!policy.applies(1, 2));
        assert!(!policy.applies(0, 0));
    }

    #[test]
    fn what_a_user_stopped_stays_stopped_unless_always() {
        assert!(RestartPolicy::Always.applies_at_engine_start(true));
        assert!(!RestartPolicy::UnlessStopped.applies_at_engine_start(true));
        assert!(RestartPolicy::UnlessStopped.applies_at_engine_start(false));
    }

    #[test]
    fn contradictions_are_refused() {
        for json in [
            r#"{"RestartPolicy":{"Name":"always","MaximumRetryCount":2}}"#,
            r#"{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-1}}"#,
            r#"{"RestartPolicy":{"Name":"always"},"AutoRemove":true}"#,
        ] {
            assert!(policy(json).is_err(), "{json}");
        }
    }
}
