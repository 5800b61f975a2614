//! Giving up privileges, for good.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
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

/// Why privileges are still there.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Privileges belong to threads: others would keep theirs.
    #[error("privileges can only be dropped while there is one thread, and there are {0}")]
    Threads(usize),
    /// The number of threads is not known.
    #[error("failed to count the threads of this process")]
    Count(#[source] io::Error),
    /// The kernel refused a step.
    #[error("failed to {step}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl Privileges {
    /// Drops everything else. From then on programs cannot raise privileges by being executed
    /// (`no_new_privs`), and no capability can come back.
    pub fn drop(&self) -> Result<(), PrivilegeError> {
        let threads = std::fs::read_dir("/proc/self/task").map_err(PrivilegeError::Count)?.count();
        if threads != 1 {
            return Err(PrivilegeError::Threads(threads));
        }
        self.drop_of_this_thread()
    }

    fn drop_of_this_thread(&self) -> Result<(), PrivilegeError> {
        step("set no_new_privs", set_no_new_privs(true))?;
        // Needs CAP_SETPCAP, so it comes first; without that there is nothing to inherit either,
        // as no_new_privs is set.
        for capability in CapabilitySet::all().difference(self.keep).iter() {
            if capability_is_in_bounding_set(capability).unwrap_or(false) {
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
        if let Some((uid, gid)) = self.user {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            step("drop supplementary groups", set_thread_groups(&[gid]))?;
            step("change the group", set_thread_res_gid(gid, gid, gid))?;
            step("change the user", set_thread_res_uid(uid, uid, uid))?;
        }
        step("clear ambient capabilities", clear_ambient_capability_set())?;
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
    result.map_err(|source| PrivilegeError::Step { step, source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Privileges belong to threads, so each test drops those of one that it makes.
    fn dropped(privileges: Privileges) -> CapabilitySets {
        let thread = std::thread::spawn(move || {
            privileges.drop_of_this_thread().unwrap();
            assert!(rustix::thread::no_new_privs().unwrap());
            rustix::thread::capabilities(None).unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn no_capability_is_left() {
        let left = dropped(Privileges::default());
        assert_eq!(
            (left.effective, left.permitted),
            (CapabilitySet::empty(), CapabilitySet::empty())
        );
    }

    #[test]
    fn capability_that_is_kept_stays_if_it_was_there() {
        let before = rustix::thread::capabilities(None).unwrap().permitted;
        let keep = CapabilitySet::NET_ADMIN;
        let left = dropped(Privileges { keep, ..Default::default() });
        assert_eq!(left.permitted, before & keep);
    }

    #[test]
    fn process_with_other_threads_is_refused() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        let refused = Privileges::default().drop();
        assert!(matches!(refused, Err(PrivilegeError::Threads(n)) if n > 1));
        drop(sender);
        let _ = thread.join().unwrap();
    }
}
