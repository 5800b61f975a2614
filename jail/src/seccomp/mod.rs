//! Filters of system calls (seccomp(2)), one for each kind of thread.
//!
//! A filter is a list of what is allowed, in the `lists` module. Anything else ends the process:
//! see [`report_violations`].

mod ioctls;
mod lists;
mod rule;
mod violation;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use self::lists::{API, COMMON, DEVICE_LOOP, MAIN, NO_SUCH_CALL, VCPU};
use self::rule::{List, rules};
pub use self::violation::{VIOLATION_STATUS, report_violations};

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadKind {
    /// Owns the machine.
    Main,
    /// Runs a virtual processor.
    Vcpu,
    /// Serves devices.
    DeviceLoop,
    /// Serves the API.
    Api,
}

impl ThreadKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Main, Self::Vcpu, Self::DeviceLoop, Self::Api];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Vcpu => "vcpu",
            Self::DeviceLoop => "device loop",
            Self::Api => "api",
        }
    }

    /// What it may do. Threads inherit filters, so the main thread, which may start others, is
    /// allowed what they are.
    fn lists(self) -> Vec<&'static List> {
        let mut lists = vec![&COMMON];
        match self {
            Self::Main => {
                lists.extend([&VCPU, &API, &MAIN]);
                lists.extend(DEVICE_LOOP);
            }
            Self::Vcpu => lists.push(&VCPU),
            Self::DeviceLoop => lists.extend(DEVICE_LOOP),
            Self::Api => lists.push(&API),
        }
        lists
    }
}

/// A list that cannot be made into a filter.
#[derive(Debug, thiserror::Error)]
#[error("failed to compile the seccomp filter of {} threads", kind.name())]
pub struct CompileError {
    kind: ThreadKind,
    #[source]
    source: BackendError,
}

/// A filter that the kernel did not accept.
#[derive(Debug, thiserror::Error)]
#[error("failed to install the seccomp filter of a {} thread", kind.name())]
pub struct InstallError {
    kind: ThreadKind,
    #[source]
    source: seccompiler::Error,
}

/// Compiled filters of all kinds of threads.
#[derive(Debug, Clone)]
pub struct Filters {
    main: BpfProgram,
    no_such_call: BpfProgram,
    vcpu: BpfProgram,
    device_loop: BpfProgram,
    api: BpfProgram,
}

impl Filters {
    /// Compiles them for this process: to be done after its last fork.
    pub fn compile() -> Result<Self, CompileError> {
        let allowed = |kind: ThreadKind| {
            let (other, listed) = (SeccompAction::Trap, SeccompAction::Allow);
            program(&kind.lists(), other, listed).map_err(|source| CompileError { kind, source })
        };
        let no_such_call = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        Ok(Self {
            main: allowed(ThreadKind::Main)?,
            no_such_call: program(&[&NO_SUCH_CALL], SeccompAction::Allow, no_such_call)
                .map_err(|source| CompileError { kind: ThreadKind::Main, source })?,
            vcpu: allowed(ThreadKind::Vcpu)?,
            device_loop: allowed(ThreadKind::DeviceLoop)?,
            api: allowed(ThreadKind::Api)?,
        })
    }

    /// Confines the calling thread and those that it starts from now on. There is no way back.
    pub fn install(&self, kind: ThreadKind) -> Result<(), InstallError> {
        let error = |source| InstallError { kind, source };
        violation::set_kind(kind);
        let program = match kind {
            ThreadKind::Main => {
                seccompiler::apply_filter(&self.no_such_call).map_err(error)?;
                &self.main
            }
            ThreadKind::Vcpu => &self.vcpu,
            ThreadKind::DeviceLoop => &self.device_loop,
            ThreadKind::Api => &self.api,
        };
        seccompiler::apply_filter(program).map_err(error)
    }
}

fn program(
    lists: &[&List],
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules(lists)?, other, listed, TargetArch::x86_64)?.try_into()
}
