//! Giving up privileges, for good.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

/// What a process keeps of its privileges. By default nothing but its user and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// The user to become, and the group, which then is the only one. `None`: as it is.
    pub user: Option<(u32, u32)>,
    /// Capabilities to keep, if the process has them.
    pub keep: CapabilitySet,
}

impl Default for Privileges {
    fn default() -> Self {
        Self { user: None, keep: CapabilitySet::empty() }
    }
}

/// A step that the kernel refused: privileges are still there.
#[derive(Debug, thiserror::Error)]
#[error("failed to {step}")]
pub struct PrivilegeError {
    step: &'static str,
    #[source]
    source: io::Error,
}

impl Privileges {
    /// Makes sure that this thread and those that it will start gain no privileges beyond what
    /// they have: programs cannot raise them by being executed (`no_new_privs`), and no capability
    /// can be inherited. What they have stays, until [`drop_of_thread`](Self::drop_of_thread).
    pub fn seal(&self) -> Result<(), PrivilegeError> {
        step("set no_new_privs", set_no_new_privs(true))?;
        for capability in CapabilitySet::all().difference(self.keep).iter() {
            // Needs CAP_SETPCAP. Without it there is little to inherit, and no_new_privs keeps
            // even that away; a capability that the kernel does not know is an error, too.
            if remove_capability_from_bounding_set(capability).is_err() {
                break;
            }
        }
        step("clear ambient capabilities", clear_ambient_capability_set())
    }

    /// Drops what the calling thread has, for good. Privileges belong to threads: each has to.
    pub fn drop_of_thread(&self) -> Result<(), PrivilegeError> {
        if let Some((uid, gid)) = self.user {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            step("drop supplementary groups", set_thread_groups(&[gid]))?;
            step("change the group", set_thread_res_gid(gid, gid, gid))?;
            step("change the user", set_thread_res_uid(uid, uid, uid))?;
        }
        let has = step("read capabilities", rustix::thread::capabilities(None))?;
        let kept = CapabilitySets {
            effective: has.effective & self.keep,
            permitted: has.permitted & self.keep,
            inheritable: CapabilitySet::empty(),
        };
        step("drop capabilities", set_capabilities(None, kept))
    }
}

fn step<T>(step: &'static str, result: rustix::io::Result<T>) -> Result<T, PrivilegeError> {
    result.map_err(|source| PrivilegeError { step, source: source.into() })
}

#[cfg(test)]
mod tests {
    use rustix::thread::{capabilities, capability_is_in_bounding_set, no_new_privs};

    use super::*;

    /// Privileges belong to threads, so each test drops those of one that it makes. Gives what the
    /// thread has left, and one that it starts.
    fn dropped(privileges: Privileges) -> [CapabilitySets; 2] {
        let thread = std::thread::spawn(move || {
            privileges.seal().unwrap();
            privileges.drop_of_thread().unwrap();
            let child = std::thread::spawn(|| capabilities(None).unwrap());
            [capabilities(None).unwrap(), child.join().unwrap()]
        });
        thread.join().unwrap()
    }

    #[test]
    fn no_capability_is_left() {
        for left in dropped(Privileges::default()) {
            assert_eq!(left.effective, CapabilitySet::empty());
            assert_eq!(left.permitted, CapabilitySet::empty());
            assert_eq!(left.inheritable, CapabilitySet::empty());
        }
    }

    #[test]
    fn capability_that_is_kept_stays_if_it_was_there() {
        let before = capabilities(None).unwrap().permitted;
        let keep = CapabilitySet::NET_ADMIN;
        let [left, _] = dropped(Privileges { keep, ..Default::default() });
        assert_eq!(left.permitted, before & keep);
    }

    #[test]
    fn sealed_thread_keeps_what_it_has_and_can_inherit_nothing() {
        let before = capabilities(None).unwrap();
        let sealed = std::thread::spawn(move || {
            Privileges::default().seal().unwrap();
            assert!(no_new_privs().unwrap());
            let may_seal = before.effective.contains(CapabilitySet::SETPCAP);
            let inherits = capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap();
            assert!(!(may_seal && inherits), "CAP_SYS_ADMIN can be inherited");
            capabilities(None).unwrap()
        });
        assert_eq!(sealed.join().unwrap().effective, before.effective);
    }

    #[test]
    fn other_user_is_become_by_those_who_may() {
        const NOBODY: u32 = 65_534;
        if !capabilities(None).unwrap().effective.contains(CapabilitySet::SETUID) {
            let refused = Privileges { user: Some((NOBODY, NOBODY)), ..Default::default() };
            let thread = std::thread::spawn(move || refused.drop_of_thread());
            assert!(thread.join().unwrap().is_err());
            return;
        }
        let thread = std::thread::spawn(|| {
            let user = Some((NOBODY, NOBODY));
            Privileges { user, ..Default::default() }.drop_of_thread().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let of = |name: &str| -> Vec<String> {
                let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                line.split_whitespace().skip(1).map(str::to_owned).collect()
            };
            (of("Uid:"), of("Gid:"), of("Groups:"))
        });
        let nobody = vec![NOBODY.to_string(); 4];
        assert_eq!(thread.join().unwrap(), (nobody.clone(), nobody, vec![NOBODY.to_string()]));
    }
}
