//! How the host is told of errors.

use std::{error::Error, io};

use agent_protocol::message::{Failure, FailureKind};
use rustix::io::Errno;

/// Errors that the host is told of.
pub(crate) trait ToFailure: Error {
    /// The kind, for programs.
    fn kind(&self) -> FailureKind;

    /// The message: the whole chain of causes, as the host cannot ask for it, with the error
    /// number that is in it.
    fn to_failure(&self) -> Failure
    where
        Self: Sized + 'static,
    {
        let mut described = failure(self.kind(), self.to_string());
        let mut cause = self.source();
        while let Some(error) = cause {
            described.message.push_str(": ");
            described.message.push_str(&error.to_string());
            if let Some(errno) = number(error) {
                described.errno = errno;
            }
            cause = error.source();
        }
        described
    }
}

/// A failure without a cause.
pub(crate) fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind: kind.into(), message: message.into(), errno: 0 }
}

fn number(error: &(dyn Error + 'static)) -> Option<i32> {
    let io = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    io.or_else(|| error.downcast_ref::<Errno>().map(|errno| errno.raw_os_error()))
}
