//! What a container's processes may do.

use agent_protocol::CAPABILITIES;
use agent_protocol::message::{Confinement, Rlimit};
use bollard_stubs::models::HostConfig;

use super::SpecError;

/// The capabilities that Docker leaves to containers.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Resource limits by name.
const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Paths that read as empty, as the kernel tells through them of the machine rather than of the
/// container.
pub(super) const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// Paths below which nothing is to be written.
pub(super) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Reads the privileges of a container.
pub(super) fn read(host: &HostConfig) -> Result<Confinement, SpecError> {
    let privileged = host.privileged.unwrap_or_default();
    let (no_new_privileges, seccomp) = security_options(host)?;
    Ok(Confinement {
        capabilities: capabilities(host)?,
        no_new_privileges,
        rlimits: rlimits(host)?,
        groups: host.group_add.clone().unwrap_or_default(),
        oom_score_adj: i32::try_from(host.oom_score_adj.unwrap_or_default())
            .ok()
            .filter(|score| (-1000..=1000).contains(score))
            .ok_or_else(|| {
                SpecError::Invalid(
                    "Invalid value for oom score adj: range is [-1000, 1000]".to_owned(),
                )
            })?,
        seccomp: if privileged { "unconfined".to_owned() } else { seccomp },
    })
}

/// Privileges of a command run in a privileged container or with `exec --privileged`.
pub fn privileged(groups: Vec<String>) -> Confinement {
    let capabilities = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    Confinement { capabilities, groups, seccomp: "unconfined".to_owned(), ..Default::default() }
}

fn capabilities(host: &HostConfig) -> Result<Vec<String>, SpecError> {
    let add = known(host.cap_add.as_ref(), "CapAdd")?;
    let dropped = known(host.cap_drop.as_ref(), "CapDrop")?;
    let has_all = |list: &[String]| list.iter().any(|name| name == "ALL");
    let mut set: Vec<&str> = match (host.privileged.unwrap_or_default(), has_all(&add)) {
        (true, _) => return Ok(CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect()),
        (false, true) => CAPABILITIES.to_vec(),
        (false, false) if has_all(&dropped) => Vec::new(),
        (false, false) => DEFAULT.to_vec(),
    };
    // What is named is added to, or taken from, even what `ALL` gave.
    if !has_all(&dropped) {
        set.retain(|name| !dropped.iter().any(|dropped| dropped == name));
    }
    for name in add.iter().filter(|name| *name != "ALL") {
        if !set.contains(&name.as_str()) {
            set.push(name);
        }
    }
    Ok(set.iter().map(|name| format!("CAP_{name}")).collect())
}

/// Names in upper case without `CAP_`.
fn known(names: Option<&Vec<String>>, field: &str) -> Result<Vec<String>, SpecError> {
    let mut list = Vec::new();
    for given in names.into_iter().flatten() {
        let upper = given.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name != "ALL" && !CAPABILITIES.contains(&name) {
            let text = format!("invalid {field}: unknown capability: \"{given}\"");
            return Err(SpecError::Invalid(text));
        }
        list.push(name.to_owned());
    }
    Ok(list)
}

fn rlimits(host: &HostConfig) -> Result<Vec<Rlimit>, SpecError> {
    // -1 stands for no limit.
    let value = |value: Option<i64>| u64::try_from(value.unwrap_or(-1)).unwrap_or(u64::MAX);
    let mut list = Vec::new();
    for limit in host.ulimits.iter().flatten() {
        let name = limit.name.clone().unwrap_or_default();
        if !RLIMITS.contains(&name.as_str()) {
            return Err(SpecError::Invalid(format!("invalid ulimit type: {name}")));
        }
        let (soft, hard) = (value(limit.soft), value(limit.hard));
        if soft > hard {
            let text = format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            );
            return Err(SpecError::Invalid(text));
        }
        list.push(Rlimit { name, soft, hard });
    }
    if !list.iter().any(|limit| limit.name == "nofile") {
        // As where Docker runs under systemd; the kernel's own hard limit, 4096, is too low for
        // servers, which raise theirs.
        list.push(Rlimit { name: "nofile".to_owned(), soft: 1024, hard: 524_288 });
    }
    Ok(list)
}

/// `no-new-privileges` and the system call filter.
fn security_options(host: &HostConfig) -> Result<(bool, String), SpecError> {
    let mut no_new_privileges = false;
    let mut seccomp = String::new();
    for option in host.security_opt.iter().flatten() {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => no_new_privileges = true,
            ("no-new-privileges", "false") => no_new_privileges = false,
            ("seccomp", "builtin") => seccomp.clear(),
            ("seccomp", "unconfined") => "unconfined".clone_into(&mut seccomp),
            ("seccomp", profile) if profile.trim_start().starts_with('{') => {
                profile.clone_into(&mut seccomp);
            }
            // The guest's kernel has neither; without them nothing is asked.
            ("apparmor", "unconfined" | "docker-default") | ("label", "disable") => {}
            ("systempaths", "unconfined") => {}
            ("apparmor", _) => return Err(no_module(option, "AppArmor")),
            ("label", _) => return Err(no_module(option, "SELinux")),
            _ => {
                return Err(SpecError::Invalid(format!("invalid --security-opt: \"{option}\"")));
            }
        }
    }
    Ok((no_new_privileges, seccomp))
}

fn no_module(option: &str, module: &str) -> SpecError {
    SpecError::Invalid(format!(
        "--security-opt {option} cannot be had: the kernel of a container's machine has no \
         {module}; --cap-drop, seccomp=PROFILE and no-new-privileges confine its processes"
    ))
}

/// Whether no paths are to be masked.
pub(super) fn unmasked(host: &HostConfig) -> bool {
    host.privileged.unwrap_or_default()
        || host
            .security_opt
            .iter()
            .flatten()
            .any(|option| option.split_once(['=', ':']) == Some(("systempaths", "unconfined")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(json: &str) -> Vec<String> {
        capabilities(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn fourteen_capabilities_are_left_by_default() {
        assert_eq!(caps("{}").len(), 14);
        assert!(caps("{}").contains(&"CAP_CHOWN".to_owned()));
    }

    #[test]
    fn what_is_added_after_dropping_all_remains() {
        assert_eq!(caps(r#"{"CapDrop":["ALL"],"CapAdd":["net_admin"]}"#), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn what_is_dropped_from_all_is_gone() {
        let left = caps(r#"{"CapAdd":["ALL"],"CapDrop":["CAP_SYS_ADMIN"]}"#);
        assert_eq!(left.len(), 40);
        assert!(!left.contains(&"CAP_SYS_ADMIN".to_owned()));
    }

    #[test]
    fn unknown_words_are_refused() {
        for json in [
            r#"{"CapAdd":["FLY"]}"#,
            r#"{"Ulimits":[{"Name":"wings","Soft":1,"Hard":1}]}"#,
            r#"{"Ulimits":[{"Name":"nofile","Soft":2,"Hard":1}]}"#,
            r#"{"SecurityOpt":["seccomp=/no/such"]}"#,
            r#"{"OomScoreAdj":1001}"#,
        ] {
            assert!(read(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
    }

    #[test]
    fn open_files_are_limited_unless_a_limit_is_given() {
        let all = |json| rlimits(&serde_json::from_str(json).unwrap()).unwrap();
        let files = |soft, hard| Rlimit { name: "nofile".into(), soft, hard };
        assert_eq!(all("{}"), [files(1024, 524_288)]);
        let given = r#"{"Ulimits":[{"Name":"nofile","Soft":7,"Hard":8}]}"#;
        assert_eq!(all(given), [files(7, 8)]);
    }

    #[test]
    fn a_limit_of_minus_one_is_none() {
        let json = r#"{"Ulimits":[{"Name":"core","Soft":0,"Hard":-1}]}"#;
        let limits = rlimits(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(limits[0], Rlimit { name: "core".into(), soft: 0, hard: u64::MAX });
    }

    #[test]
    fn a_profile_in_json_is_passed_on() {
        let json = r#"{"SecurityOpt":["no-new-privileges","seccomp={\"x\":1}"]}"#;
        let confinement = read(&serde_json::from_str(json).unwrap()).unwrap();
        assert!(confinement.no_new_privileges);
        assert_eq!(confinement.seccomp, "{\"x\":1}");
    }
}
