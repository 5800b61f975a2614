//! What a command is started with, and how it ends.

use agent_protocol::{
    client::{CallError, ExecSpec, ExitStatus},
    message::{FailureKind, Stdio},
};

use crate::harness::{LIMIT, TestAgent, sh};

fn failure_of(agent: &TestAgent, spec: &ExecSpec) -> (FailureKind, String, u8) {
    let error = agent.client.exec(spec).unwrap_err();
    (error.kind().unwrap(), error.to_string(), error.shell_code())
}

#[test]
fn output_errors_and_status_come_back() {
    let output = TestAgent::start().sh("echo out; echo err >&2; exit 3");
    assert_eq!(output.status, ExitStatus::Code(3));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
}

#[test]
fn the_greeting_describes_the_guest() {
    let agent = TestAgent::start();
    let hello = agent.client.hello();
    let release = String::from_utf8(agent.sh("uname -r").stdout).unwrap();
    assert_eq!(hello.kernel_release, release.trim());
    assert!(hello.ready_us >= hello.started_us && hello.started_us > 0);
}

#[test]
fn a_command_killed_by_a_signal_is_told_apart_from_an_exit() {
    let status = TestAgent::start().sh("kill -TERM $$").status;
    assert_eq!(status, ExitStatus::Signal { number: 15, core_dumped: false });
    assert_eq!(status.shell_code(), 143);
}

#[test]
fn the_host_can_signal_a_command() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("sleep").arg("1000")).unwrap();
    session.handle().signal(9).unwrap();
    let status = session.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(status, ExitStatus::Signal { number: 9, core_dumped: false });
}

#[test]
fn a_real_time_signal_arrives() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("sleep").arg("1000")).unwrap();
    session.handle().signal(40).unwrap();
    assert_eq!(session.wait().unwrap().shell_code(), 168);
}

#[test]
fn a_group_signal_reaches_grandchildren() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&sh("sleep 1000; echo survived")).unwrap();
    let handle = session.handle();
    handle.signal_group(15).unwrap();
    assert_eq!(session.wait().unwrap().shell_code(), 143);
}

#[test]
fn invalid_signals_and_ended_commands_are_refused() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("cat").stdin(Stdio::Stream)).unwrap();
    let handle = session.handle();
    let error = handle.signal(65).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::InvalidRequest));
    drop(session.stdin.take());
    session.wait().unwrap();
    let error = handle.signal(15).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::NoSuchSession));
}

#[test]
fn an_unknown_program_is_127() {
    let agent = TestAgent::start();
    let (kind, message, code) = failure_of(&agent, &ExecSpec::new("no-such-program"));
    assert_eq!((kind, code), (FailureKind::ProgramNotFound, 127));
    assert_eq!(message, "No such program: \"no-such-program\"");
}

#[test]
fn a_file_that_is_no_program_is_126() {
    let agent = TestAgent::start();
    let (kind, message, code) = failure_of(&agent, &ExecSpec::new("/etc/passwd"));
    assert_eq!((kind, code), (FailureKind::NotExecutable, 126));
    assert!(message.starts_with("Failed to execute \"/etc/passwd\": Permission denied"));
}

#[test]
fn an_empty_command_is_refused() {
    let agent = TestAgent::start();
    assert_eq!(failure_of(&agent, &ExecSpec::new("")).0, FailureKind::ProgramNotFound);
    let nul = ExecSpec::new("echo").arg("a\0b");
    assert_eq!(failure_of(&agent, &nul).0, FailureKind::InvalidRequest);
}

#[test]
fn the_environment_is_what_was_given_and_the_basics() {
    let agent = TestAgent::start();
    let spec = ExecSpec::new("env").env("COLOUR", "blue=green").env("HOME", "/elsewhere");
    let output = agent.client.run(&spec, b"").unwrap();
    let mut lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["COLOUR=blue=green", "HOME=/elsewhere", path]);
}

#[test]
fn the_program_is_sought_in_the_commands_own_path() {
    let agent = TestAgent::start();
    let spec = ExecSpec::new("sh").env("PATH", "/nowhere");
    assert_eq!(failure_of(&agent, &spec).0, FailureKind::ProgramNotFound);
}

#[test]
fn the_working_directory_is_entered() {
    let agent = TestAgent::start();
    let output = agent.client.run(&ExecSpec::new("pwd").cwd("/usr/share"), b"").unwrap();
    assert_eq!(output.stdout, b"/usr/share\n");
    assert_eq!(agent.sh("pwd").stdout, b"/\n");
}

#[test]
fn a_missing_working_directory_is_named() {
    let agent = TestAgent::start();
    let (kind, message, code) = failure_of(&agent, &ExecSpec::new("pwd").cwd("/none/such"));
    assert_eq!((kind, code), (FailureKind::WorkingDirectory, 125));
    assert!(message.starts_with("Failed to enter working directory \"/none/such\": No such file"));
}

#[test]
fn signals_are_not_blocked_in_commands() {
    let agent = TestAgent::start();
    let spec = ExecSpec::new("grep").arg("^SigBlk").arg("/proc/self/status");
    let output = agent.client.run(&spec, b"").unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "SigBlk:\t0000000000000000\n");
}

#[test]
fn no_descriptor_of_the_agent_leaks_into_commands() {
    let output = TestAgent::start().sh("exec ls /proc/self/fd");
    // The last is that of the folder itself.
    assert_eq!(output.stdout, b"0\n1\n2\n3\n");
}

#[test]
fn commands_get_the_limits_that_the_agent_was_started_with() {
    let limits = "ulimit -Sn; ulimit -Hn";
    let own = std::process::Command::new("sh").args(["-c", limits]).output().unwrap();
    assert_eq!(TestAgent::start().sh(limits).stdout, own.stdout);
}

#[test]
fn errors_can_go_where_output_goes() {
    let agent = TestAgent::start();
    let spec = sh("echo a; echo b >&2; echo c").stderr(Stdio::SameAsStdout);
    let output = agent.client.run(&spec, b"").unwrap();
    assert_eq!((output.stdout, output.stderr), (b"a\nb\nc\n".to_vec(), vec![]));
}

#[test]
fn a_command_dies_with_its_client_unless_detached() {
    let mut agent = TestAgent::start();
    let other = agent_protocol::client::Client::connect(&agent.connector).unwrap();
    let attached = agent.client.exec(&ExecSpec::new("sleep").arg("1000")).unwrap();
    let detached = agent.client.exec(&ExecSpec::new("sleep").arg("1000").detach()).unwrap();
    let (attached, detached) = (attached.handle().pid(), detached.handle().pid());
    agent.client = other;
    agent.eventually(|| !crate::harness::process_exists(attached));
    assert!(crate::harness::process_exists(detached));
    agent.sh(&format!("kill -9 {detached}"));
}

#[test]
fn losing_the_agent_is_an_error_for_all_who_wait() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("sleep").arg("1000")).unwrap();
    let sleep = session.handle().pid();
    let kill = std::process::Command::new("kill").arg("-9").arg(agent.pid().to_string()).status();
    assert!(kill.unwrap().success());
    assert!(matches!(session.wait(), Err(CallError::Lost)));
    assert!(matches!(agent.client.metrics(), Err(CallError::Lost)));
    agent.client.wait_lost();
    std::process::Command::new("kill").arg("-9").arg(sleep.to_string()).status().unwrap();
}
