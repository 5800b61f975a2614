//! Capabilities by name.

use agent_protocol::CAPABILITIES;
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        remove_capability_from_bounding_set, set_capabilities,
    },
};

use super::LaunchError;

/// The set of the named capabilities, each as `CAP_CHOWN` or `CHOWN`.
pub(super) fn set_of(names: &[String]) -> Result<CapabilitySet, LaunchError> {
    names.iter().try_fold(CapabilitySet::empty(), |set, name| {
        let short = name.strip_prefix("CAP_").unwrap_or(name);
        let number = CAPABILITIES.iter().position(|known| *known == short);
        let number = number.ok_or_else(|| LaunchError::NoCapability(name.clone()))?;
        Ok(set | CapabilitySet::from_bits_retain(1 << number))
    })
}

/// Takes all others out of the bounding set: no program that is executed later gets them. None is
/// looked at first: each such call is as long as one that removes, and all delay a command.
pub(super) fn bound(allowed: CapabilitySet) -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if allowed.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel knows fewer than 64, in a row.
            Err(Errno::INVAL) => break,
            // Without the right to do so; what is not there needs not be removed.
            Err(errno) if capability_is_in_bounding_set(one)? => return Err(errno),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Leaves this process with the given ones of those it has. None is inheritable: a file's
/// inheritable capabilities would come to users who were to have none.
pub(super) fn keep(allowed: CapabilitySet) -> rustix::io::Result<()> {
    let kept = capabilities(None)?.permitted & allowed;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels_numbers() {
        let set =
            set_of(&["CAP_CHOWN".into(), "CAP_SYS_ADMIN".into(), "CHECKPOINT_RESTORE".into()]);
        let expected =
            CapabilitySet::CHOWN | CapabilitySet::SYS_ADMIN | CapabilitySet::CHECKPOINT_RESTORE;
        assert_eq!(set.unwrap(), expected);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(matches!(set_of(&["CAP_FLY".into()]), Err(LaunchError::NoCapability(_))));
    }
}
