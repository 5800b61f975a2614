//! Commands with a terminal.

use std::io::{Read, Write};

use agent_protocol::{client::ExecSpec, message::FailureKind};

use crate::harness::{LIMIT, TestAgent, read_line, sh};

#[test]
fn a_command_sees_a_terminal_of_the_given_size() {
    let agent = TestAgent::start();
    let mut session =
        agent.client.exec(&sh("tty; stty size; echo $TERM").terminal(40, 132)).unwrap();
    let terminal = session.terminal.as_mut().unwrap();
    assert!(read_line(terminal).starts_with("/dev/pts/"));
    assert_eq!(read_line(terminal), "40 132\r\n");
    assert_eq!(read_line(terminal), "xterm\r\n");
    assert!(session.wait().unwrap().success());
}

#[test]
fn resizing_is_seen_by_the_command() {
    let agent = TestAgent::start();
    let spec = sh("stty -echo; echo ready; read line; stty size").terminal(24, 80);
    let mut session = agent.client.exec(&spec).unwrap();
    let handle = session.handle();
    let terminal = session.terminal.as_mut().unwrap();
    assert_eq!(read_line(terminal), "ready\r\n");
    handle.resize(50, 100).unwrap();
    terminal.write_all(b"\n").unwrap();
    assert_eq!(read_line(terminal), "50 100\r\n");
}

#[test]
fn control_c_interrupts_the_foreground() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("cat").terminal(24, 80)).unwrap();
    session.terminal.as_mut().unwrap().write_all(b"\x03").unwrap();
    let status = session.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(status.shell_code(), 130);
}

#[test]
fn the_connection_ends_with_the_terminal() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&sh("printf last").terminal(24, 80)).unwrap();
    let mut text = String::new();
    session.terminal.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "last");
}

#[test]
fn hanging_up_ends_the_command() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&sh("echo ready; read line").terminal(24, 80)).unwrap();
    assert_eq!(read_line(session.terminal.as_mut().unwrap()), "ready\r\n");
    drop(session.terminal.take());
    let status = session.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(status.shell_code(), 128 + 1);
}

#[test]
fn much_output_through_a_terminal_is_complete() {
    let agent = TestAgent::start();
    let mut session =
        agent.client.exec(&ExecSpec::new("seq").arg("100000").terminal(24, 80)).unwrap();
    let mut text = String::new();
    session.terminal.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 100_000);
    assert_eq!(text.lines().last(), Some("100000"));
}

#[test]
fn a_command_without_a_terminal_cannot_be_resized() {
    let agent = TestAgent::start();
    let session = agent.client.exec(&ExecSpec::new("sleep").arg("1000")).unwrap();
    let error = session.handle().resize(1, 1).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::InvalidRequest));
}
