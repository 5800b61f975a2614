//! Waiting for a container.

use std::future::Future;

use crate::container::ContainerError;
use crate::container::live::Container;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run, at once if it does not.
    NotRunning,
    /// Its next end.
    NextExit,
    /// That it is gone.
    Removed,
}

/// What was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The exit code of the last run.
    pub code: i64,
    /// Why the container could not be started, if it could not.
    pub error: Option<String>,
}

impl WaitCondition {
    /// Reads the parameter of a request.
    pub fn parse(text: Option<&str>) -> Result<Self, ContainerError> {
        match text {
            None | Some("not-running") => Ok(Self::NotRunning),
            Some("next-exit") => Ok(Self::NextExit),
            Some("removed") => Ok(Self::Removed),
            Some(other) => Err(ContainerError::Invalid(format!("invalid condition: \"{other}\""))),
        }
    }
}

impl Container {
    /// Waits, from the moment of the call and not of the first poll.
    pub fn wait(&self, condition: WaitCondition) -> impl Future<Output = Waited> + use<> {
        let mut progress = self.progress.subscribe();
        let first = *progress.borrow_and_update();
        async move {
            let done = progress
                .wait_for(|now| match condition {
                    WaitCondition::NotRunning => !now.phase.is_up() || now.ends != first.ends,
                    WaitCondition::NextExit => now.ends != first.ends || now.removed,
                    WaitCondition::Removed => now.removed,
                })
                .await
                .map(|progress| progress.exit_code);
            // Whoever held the container has gone, and it with them.
            let code = done.unwrap_or_else(|_| progress.borrow().exit_code);
            Waited { code, error: None }
        }
    }
}
