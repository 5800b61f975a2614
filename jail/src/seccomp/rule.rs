//! System calls that a thread may make, as data.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompRule,
};

use super::ioctls::Ioctl;

/// A demand on one argument of a system call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// It is one of these.
    OneOf(&'static [u32]),
    /// It has none of these bits.
    Without(u32),
    /// It has all of these bits.
    With(u32),
    /// It is the id of this process.
    OwnProcess,
}

/// A system call, the index of an argument, and the demand on it.
pub(super) type Check = (libc::c_long, u8, Demand);

/// A set of allowed system calls.
pub(super) struct List {
    /// Whatever their arguments.
    pub(super) calls: &'static [libc::c_long],
    /// With arguments that meet a demand.
    pub(super) checks: &'static [Check],
    /// Requests of ioctl.
    pub(super) ioctls: &'static [&'static [Ioctl]],
}

/// What seccompiler takes: an empty vector allows a call whatever its arguments.
pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts lists together. A call that one of them allows unconditionally is.
pub(super) fn rules(lists: &[&List]) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for (call, argument, demand) in lists.iter().flat_map(|l| l.checks) {
        rules.entry(*call).or_default().extend(demand.rules(*argument)?);
    }
    for (_, request) in lists.iter().flat_map(|l| l.ioctls).copied().flatten() {
        let rule = rule(1, Op::Eq, u64::from(*request))?;
        rules.entry(libc::SYS_ioctl).or_default().push(rule);
    }
    for call in lists.iter().flat_map(|l| l.calls) {
        rules.insert(*call, Vec::new());
    }
    Ok(rules)
}

impl Demand {
    /// The alternatives that meet it.
    fn rules(self, argument: u8) -> Result<Vec<SeccompRule>, BackendError> {
        match self {
            Self::OneOf(values) => {
                values.iter().map(|v| rule(argument, Op::Eq, u64::from(*v))).collect()
            }
            Self::Without(bits) => Ok(vec![rule(argument, Op::MaskedEq(u64::from(bits)), 0)?]),
            Self::With(bits) => {
                Ok(vec![rule(argument, Op::MaskedEq(u64::from(bits)), u64::from(bits))?])
            }
            Self::OwnProcess => Ok(vec![rule(argument, Op::Eq, u64::from(std::process::id()))?]),
        }
    }
}

/// All arguments looked at are 32 bits wide for the kernel.
fn rule(argument: u8, op: Op, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Len::Dword, op, value)?])
}
