//! System call filters of containers (kernel, `userspace-api/seccomp_filter.rst`).

// For installing a filter.
#![allow(unsafe_code)]

mod compile;
mod default;
mod profile;
mod syscalls;

use std::io;

use agent_protocol::message::Confinement;
use nix::libc;

pub(crate) use profile::ProfileError;

/// What a filter does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Allow,
    /// The call fails with an error number.
    Error(u16),
    Trap,
    KillThread,
    KillProcess,
    Log,
    Trace(u16),
}

impl Action {
    /// `SECCOMP_RET_*` (linux/seccomp.h).
    fn code(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Log => 0x7ffc_0000,
            Self::Trace(data) => 0x7ff0_0000 | u32::from(data),
            Self::Error(number) => 0x0005_0000 | u32::from(number),
            Self::Trap => 0x0003_0000,
            Self::KillThread => 0,
            Self::KillProcess => 0x8000_0000,
        }
    }
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Equal in the bits of a mask.
    Masked(u64),
}

/// A condition on an argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    /// 0 to 5.
    argument: u8,
    comparison: Comparison,
    value: u64,
}

/// What happens to a call if all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    number: u32,
    conditions: Vec<Condition>,
    action: Action,
}

/// What happens to all calls. Of the rules for a call the first whose conditions hold counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Profile {
    otherwise: Action,
    rules: Vec<Rule>,
}

/// The filter of a container, made once for all its processes. One that each child makes for itself
/// costs a good part of a command's start: the child's writes part the memory that it shares with
/// the agent, page by page.
pub(crate) struct Compiled {
    text: String,
    capabilities: Vec<String>,
    filter: Option<Filter>,
}

impl Compiled {
    pub(crate) fn of(confinement: &Confinement) -> Result<Self, ProfileError> {
        let (text, capabilities) = (&confinement.seccomp, &confinement.capabilities);
        let filter = Filter::of(text, capabilities)?;
        Ok(Self { text: text.clone(), capabilities: capabilities.clone(), filter })
    }

    /// Whether it is what `confinement` asks for: a privileged command asks for another.
    pub(super) fn is_of(&self, confinement: &Confinement) -> bool {
        self.text == confinement.seccomp && self.capabilities == confinement.capabilities
    }

    /// `None` for no filter.
    pub(super) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }
}

/// A filter that can be installed.
pub(super) struct Filter {
    program: Vec<libc::sock_filter>,
}

impl Filter {
    /// What a container's message asks for; `None` for no filter. What the default one allows
    /// depends on the capabilities, as parts of profiles may.
    pub(super) fn of(text: &str, capabilities: &[String]) -> Result<Option<Self>, ProfileError> {
        let profile = match text {
            "unconfined" => return Ok(None),
            "" => default::profile(capabilities),
            json => profile::parse(json, capabilities)?,
        };
        let program = compile::compile(&profile);
        if program.len() > compile::LONGEST {
            return Err(ProfileError::TooLong);
        }
        Ok(Some(Self { program }))
    }

    /// Filters the calls of this process from now on.
    pub(super) fn install(&self) -> io::Result<()> {
        let length = u16::try_from(self.program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len: length, filter: self.program.as_ptr().cast_mut() };
        // SAFETY: the program, of the length given, lives as long as the call, which only reads it.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_of_a_container_is_no_other_commands() {
        let container = Confinement {
            capabilities: vec!["CAP_CHOWN".to_owned()],
            no_new_privileges: true,
            ..Confinement::default()
        };
        let compiled = Compiled::of(&container).unwrap();
        assert!(compiled.filter().is_some_and(|filter| !filter.program.is_empty()));
        assert!(compiled.is_of(&container));
        let with_more = Confinement { capabilities: vec!["CAP_SYS_ADMIN".to_owned()], ..container };
        assert!(!compiled.is_of(&with_more));
        let unconfined = "unconfined".to_owned();
        let privileged = Confinement { seccomp: unconfined, ..with_more };
        assert!(!compiled.is_of(&privileged));
        assert!(Compiled::of(&privileged).unwrap().filter().is_none());
    }
}
