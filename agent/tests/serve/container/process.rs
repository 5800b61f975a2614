//! What processes of a container are and may do.

use agent_protocol::{
    client::ExecSpec,
    message::{ContainerRef, FailureKind, Reply, Request, Rlimit},
};

use super::fixture::{Guest, ID, confinement, container, idle, kind_of, possible, process, text};
use crate::harness::sh;

#[test]
fn the_first_process_has_the_containers_user_and_groups() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container("id -u; id -g; id -G; echo $HOME");
    process(&mut create).user = "web".into();
    assert_eq!(guest.run(create).0, "33\n33\n33 4\n/var/www\n");
    // Without a user it is root, with the groups that the image gives root.
    assert_eq!(guest.sh("id -u; id -G; echo $HOME"), "0\n0 4\n/root\n");
}

#[test]
fn a_missing_working_directory_is_made_for_the_first_process() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container("pwd");
    process(&mut create).cwd = b"/srv/made/here".to_vec();
    assert_eq!(guest.run(create).0, "/srv/made/here\n");
}

#[test]
fn a_command_runs_in_the_container() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let names = "hostname; id -u; readlink /proc/1/exe; grep 0:: /proc/self/cgroup";
    assert_eq!(guest.exec_sh(names), "boxed\n0\n/bin/busybox\n0::/\n");
    for name in ["mnt", "pid", "uts", "ipc", "cgroup"] {
        let script = format!("readlink /proc/self/ns/{name}; readlink /proc/1/ns/{name}");
        let output = guest.exec_sh(&script);
        let (own, first) = output.trim().split_once('\n').unwrap();
        assert_eq!(own, first);
    }
}

#[test]
fn commands_that_cannot_run_are_told_apart() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let kind = |spec: &ExecSpec| kind_of(guest.exec(spec)).0;
    assert_eq!(kind(&ExecSpec::new("nothing")), FailureKind::ProgramNotFound);
    assert_eq!(kind(&ExecSpec::new("/etc/passwd")), FailureKind::NotExecutable);
    assert_eq!(kind(&ExecSpec::new("true").user("eve")), FailureKind::NoSuchUser);
    assert_eq!(kind(&ExecSpec::new("true").cwd("/none")), FailureKind::WorkingDirectory);
}

#[test]
fn nodes_can_be_made_and_the_machines_disks_not_be_opened() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let script = "mknod /tmp/null c 1 3 && echo gone > /tmp/null && echo null; \
        mknod /tmp/disk b 7 0 && ! cat /tmp/disk && mknod /tmp/memory c 1 1 && ! cat /tmp/memory; \
        test -r /dev/tty && echo hello > /dev/full";
    let refused = "Operation not permitted";
    let expected = format!(
        "null\ncat: can't open '/tmp/disk': {refused}\ncat: can't open '/tmp/memory': {refused}\n\
         sh: write error: No space left on device\n"
    );
    assert_eq!(guest.sh(script), expected);
    guest.keep_running(idle());
    let disk = "mknod /tmp/disk b 7 0; cat /tmp/disk";
    assert_eq!(guest.exec_sh(disk), format!("cat: can't open '/tmp/disk': {refused}\n"));
    guest.delete();
    let mut privileged = container("mknod /tmp/disk b 7 0; head -c 1 /tmp/disk | wc -c");
    privileged.privileged = true;
    assert_eq!(guest.run(privileged).0, "1\n");
}

#[test]
fn capabilities_are_those_that_were_given() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let status = "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|NoNewPrivs)' /proc/self/status";
    let lines = |all: &str| {
        format!(
            "CapInh:\t0000000000000000\nCapPrm:\t{all}\nCapEff:\t{all}\n\
                 CapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\n"
        )
    };
    assert_eq!(guest.sh(status), lines("00000000a80425fb"));
    let mut create = container(status);
    process(&mut create).user = "web".into();
    assert_eq!(guest.run(create).0, lines("0000000000000000"));
}

#[test]
fn limits_and_no_new_privileges_hold() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container("ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status");
    let mut confinement = confinement();
    confinement.no_new_privileges = true;
    confinement.rlimits = vec![Rlimit { name: "nofile".into(), soft: 100, hard: 200 }];
    process(&mut create).confinement = Some(Box::new(confinement));
    assert_eq!(guest.run(create).0, "100\n200\nNoNewPrivs:\t1\n");
}

#[test]
fn system_calls_are_filtered_unless_the_host_says_otherwise() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let script = "grep ^Seccomp: /proc/self/status; unshare -U true; echo $?";
    assert!(guest.sh(script).starts_with("Seccomp:\t2\nunshare:"), "{}", guest.sh(script));
    let with = |profile: &str| {
        let mut create = container(script);
        let mut confinement = confinement();
        confinement.seccomp = profile.into();
        process(&mut create).confinement = Some(Box::new(confinement));
        create
    };
    assert!(guest.run(with("unconfined")).0.starts_with("Seccomp:\t0\n"));
    let own = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17}]}"#;
    let output = guest.run(with(own)).0;
    assert!(output.contains("File exists"), "{output}");
    guest.create(with("{}")).unwrap();
    let (kind, message) = kind_of(guest.start(&[]));
    assert_eq!(kind, FailureKind::InvalidRequest);
    assert_eq!(message, "The seccomp profile has no valid defaultAction");
}

#[test]
fn an_init_reaps_and_passes_signals_and_status_on() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container("trap 'exit 7' TERM; echo $$; kill -TERM 1; while true; do :; done");
    create.init = true;
    let (output, code) = guest.run(create);
    assert_ne!(output, "1\n");
    assert_eq!(code, 7);
}

#[test]
fn processes_are_listed_with_their_users() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let spec = ExecSpec::new("sleep").arg("2000").user("web").container(ID);
    let _session = guest.agent.client.exec(&spec).unwrap();
    let reply = guest.request(Request::ListProcesses(ContainerRef { id: ID.into() })).unwrap();
    let Reply::Processes(processes) = reply else { panic!("{reply:?}") };
    let mut lines: Vec<_> =
        processes.processes.iter().map(|p| format!("{} {}", p.user, p.command)).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["root sleep 1000", "web sleep 2000"]);
}

#[test]
fn commands_in_a_container_leave_no_descriptor_behind() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let output = guest.exec(&sh("echo in; exit 4")).unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.shell_code()), ("in\n", 4));
    let before = guest.agent.descriptors();
    for _ in 0..20 {
        assert!(guest.exec(&ExecSpec::new("true")).unwrap().status.success());
    }
    guest.agent.eventually(|| guest.agent.descriptors() == before);
}
