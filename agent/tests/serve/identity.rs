//! Whom a command runs as. Needs root, as the agent has in a machine.

use std::{fs, os::unix::fs::PermissionsExt};

use agent_protocol::{client::ExecSpec, message::FailureKind};

use crate::harness::{TestAgent, sh};

fn is_root() -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        eprintln!("skipped: only root can become another user");
    }
    root
}

#[test]
fn a_command_runs_as_the_named_user() {
    if !is_root() {
        return;
    }
    let agent = TestAgent::start();
    let spec = sh("id -u; id -g; id -G; echo $HOME").user("daemon");
    let output = agent.client.run(&spec, b"").unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n1\n1\n/usr/sbin\n");
}

#[test]
fn numbers_need_no_entry() {
    if !is_root() {
        return;
    }
    let agent = TestAgent::start();
    let spec = sh("id -u; id -g; id -G; grep ^CapEff /proc/self/status").user("4242:4343");
    let output = agent.client.run(&spec, b"").unwrap();
    let expected = "4242\n4343\n4343\nCapEff:\t0000000000000000\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn the_users_rights_decide_about_the_working_directory() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let agent = TestAgent::start();
    let spec = ExecSpec::new("true").cwd(folder.path()).user("daemon");
    let error = agent.client.exec(&spec).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::WorkingDirectory));
    assert!(error.to_string().contains("Permission denied"), "{error}");
}

#[test]
fn a_terminal_belongs_to_the_user() {
    if !is_root() {
        return;
    }
    let agent = TestAgent::start();
    let spec = sh("stat -c %u $(tty); echo > $(tty)").user("daemon").terminal(24, 80);
    let mut session = agent.client.exec(&spec).unwrap();
    let line = crate::harness::read_line(session.terminal.as_mut().unwrap());
    assert_eq!(line, "1\r\n");
    assert!(session.wait().unwrap().success());
}

#[test]
fn an_unknown_user_is_named() {
    let agent = TestAgent::start();
    let error = agent.client.exec(&ExecSpec::new("true").user("nosuchuser")).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::NoSuchUser));
    assert_eq!(error.to_string(), "No such user: nosuchuser");
}
