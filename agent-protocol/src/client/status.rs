//! How a command ended.

use std::fmt;

use crate::message::Exited;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// A signal killed it.
    Signal {
        /// The signal's number.
        number: u8,
        /// Whether the kernel dumped core.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// The status as shells and container engines report it: the code, or 128 plus the signal.
    #[must_use]
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal { number, .. } => number.saturating_add(128),
        }
    }

    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<Exited> for ExitStatus {
    fn from(exited: Exited) -> Self {
        let byte = |value| u8::try_from(value).unwrap_or(u8::MAX);
        if exited.signal == 0 {
            Self::Code(byte(exited.code))
        } else {
            Self::Signal { number: byte(exited.signal), core_dumped: exited.core_dumped }
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit status {code}"),
            Self::Signal { number, core_dumped: false } => write!(formatter, "signal {number}"),
            Self::Signal { number, core_dumped: true } => {
                write!(formatter, "signal {number} (core dumped)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_reported_as_137() {
        let status = ExitStatus::from(Exited { signal: 9, ..Exited::default() });
        assert_eq!(status.shell_code(), 137);
        assert!(!status.success());
    }

    #[test]
    fn a_code_beyond_a_byte_is_not_success() {
        let status = ExitStatus::from(Exited { code: 256, ..Exited::default() });
        assert_eq!(status, ExitStatus::Code(255));
    }
}
