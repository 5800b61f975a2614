//! The profile of containers that name none: what programs need, without what only those need that
//! run a system. It lets through what Docker's default profile does.
//!
//! It is a list of what is allowed: a call that is not in the table of names is refused.

use nix::libc;

use super::{Action, Comparison, Condition, Profile, Rule, syscalls};

/// Refused, whatever the capabilities.
const NEVER: &str = "_sysctl add_key afs_syscall create_module get_kernel_syms getpmsg \
    io_uring_enter io_uring_register io_uring_setup kexec_file_load kexec_load keyctl \
    migrate_pages move_pages nfsservctl pivot_root putpmsg query_module request_key security \
    swapoff swapon sysfs tuxcall uselib userfaultfd ustat vserver listmount statmount \
    lsm_get_self_attr lsm_list_modules lsm_set_self_attr";

/// Allowed with one of these capabilities.
const WITH: [(&str, &[&str]); 19] = [
    ("acct", &["SYS_PACCT"]),
    ("bpf", &["SYS_ADMIN", "BPF"]),
    ("chroot", &["SYS_CHROOT"]),
    ("clock_settime settimeofday", &["SYS_TIME"]),
    ("clone3", &["SYS_ADMIN"]),
    ("delete_module finit_module init_module", &["SYS_MODULE"]),
    ("fanotify_init lookup_dcookie quotactl quotactl_fd", &["SYS_ADMIN"]),
    ("fsconfig fsmount fsopen fspick mount mount_setattr", &["SYS_ADMIN"]),
    ("get_mempolicy mbind set_mempolicy set_mempolicy_home_node", &["SYS_NICE"]),
    ("ioperm iopl", &["SYS_RAWIO"]),
    ("kcmp pidfd_getfd process_madvise", &["SYS_PTRACE"]),
    ("move_mount open_tree umount2", &["SYS_ADMIN"]),
    ("open_by_handle_at", &["DAC_READ_SEARCH"]),
    ("perf_event_open", &["SYS_ADMIN", "PERFMON"]),
    ("reboot", &["SYS_BOOT"]),
    ("setdomainname sethostname setns", &["SYS_ADMIN"]),
    ("syslog", &["SYS_ADMIN", "SYSLOG"]),
    ("unshare", &["SYS_ADMIN"]),
    ("vhangup", &["SYS_TTY_CONFIG"]),
];

/// The flags of clone(2) that make namespaces, without that of time, which shares its bit with
/// the signal.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// What personality(2) may be asked: to tell, the usual one, and those of old programs.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const AF_VSOCK: u64 = 40;
const EPERM: u16 = libc::EPERM as u16;
const ENOSYS: u16 = libc::ENOSYS as u16;

/// The default profile for a container with these capabilities.
pub(super) fn profile(capabilities: &[String]) -> Profile {
    let has = |name: &&str| {
        capabilities.iter().any(|known| known.strip_prefix("CAP_").unwrap_or(known) == *name)
    };
    let is_root_like = has(&"SYS_ADMIN");
    let rules = syscalls::all().filter(|(_, name)| !NEVER.split(' ').any(|never| never == *name));
    let rules = rules.flat_map(|(number, name)| {
        let needs = WITH.iter().find(|(names, _)| names.split(' ').any(|one| one == name));
        match name {
            // Programs then do without it, and clone's flags can be seen.
            "clone3" if !is_root_like => vec![rule(number, Action::Error(ENOSYS))],
            _ if needs.is_some_and(|(_, any)| !any.iter().any(&has)) => Vec::new(),
            "clone" if !is_root_like => {
                vec![only(number, 0, Comparison::Masked(NEW_NAMESPACES), 0)]
            }
            // The host and other machines are not for the container to call.
            "socket" => vec![only(number, 0, Comparison::NotEqual, AF_VSOCK)],
            "personality" => {
                let values = PERSONALITIES.iter();
                values.map(|value| only(number, 0, Comparison::Equal, *value)).collect()
            }
            _ => vec![rule(number, Action::Allow)],
        }
    });
    Profile { otherwise: Action::Error(EPERM), rules: rules.collect() }
}

fn rule(number: u32, action: Action) -> Rule {
    Rule { number, conditions: Vec::new(), action }
}

fn only(number: u32, argument: u8, comparison: Comparison, value: u64) -> Rule {
    let conditions = vec![Condition { argument, comparison, value }];
    Rule { number, conditions, action: Action::Allow }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_call() {
        let names = WITH.iter().map(|(names, _)| *names).chain([NEVER]);
        for name in names.flat_map(|names| names.split(' ')) {
            assert!(syscalls::number(name).is_some(), "{name}");
        }
    }
}
