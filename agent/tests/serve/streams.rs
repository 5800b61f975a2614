//! The bytes of standard input, output and error.

use std::{
    io::{self, ErrorKind, Read, Write},
    thread,
};

use agent_protocol::{client::ExecSpec, message::Stdio};

use crate::harness::{LIMIT, TestAgent, read_line, sh};

const MIB: usize = 1 << 20;

/// Bytes in which a lost, doubled or displaced piece shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()
    };
    (0..length / 4).flat_map(|_| next()).collect()
}

#[test]
fn sixty_four_mebibytes_go_through_a_command_unharmed() {
    let agent = TestAgent::start();
    let sent = pattern(64 * MIB);
    let output = agent.client.run(&ExecSpec::new("cat"), &sent).unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), sent.len());
    assert!(output.stdout == sent);
}

#[test]
fn the_guest_sums_what_the_host_sent() {
    let agent = TestAgent::start();
    let sent = pattern(64 * MIB);
    let output = agent.client.run(&ExecSpec::new("cksum"), &sent).unwrap();
    let piped = std::process::Stdio::piped;
    let mut command = std::process::Command::new("cksum");
    let mut expected = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    expected.stdin.take().unwrap().write_all(&sent).unwrap();
    let expected = expected.wait_with_output().unwrap();
    assert_eq!(output.stdout, expected.stdout);
}

#[test]
fn output_and_errors_flow_independently() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&sh("head -c 4000000 /dev/zero >&2; echo done")).unwrap();
    // Output is read first, though the command writes 4 MB of errors before it.
    let mut errors = session.stderr.take().unwrap();
    let counter = thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
    assert_eq!(read_line(session.stdout.as_mut().unwrap()), "done\n");
    assert_eq!(counter.join().unwrap().unwrap(), 4_000_000);
}

#[test]
fn closing_input_is_the_end_of_input_and_output_still_flows() {
    let agent = TestAgent::start();
    let spec = sh("wc -c; echo after").stdin(Stdio::Stream);
    let mut session = agent.client.exec(&spec).unwrap();
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"12345").unwrap();
    assert_eq!(session.wait_timeout(std::time::Duration::from_millis(50)).unwrap(), None);
    drop(stdin);
    let output = session.finish(b"").unwrap();
    assert_eq!(output.stdout, b"5\nafter\n");
}

#[test]
fn a_conversation_needs_no_closing() {
    let agent = TestAgent::start();
    let spec = sh("while read line; do echo \"got $line\"; done").stdin(Stdio::Stream);
    let mut session = agent.client.exec(&spec).unwrap();
    for word in ["one", "two"] {
        session.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
        let line = read_line(session.stdout.as_mut().unwrap());
        assert_eq!(line, format!("got {word}\n"));
    }
    drop(session.stdin.take());
    assert!(session.wait().unwrap().success());
}

#[test]
fn a_reader_that_stops_holds_the_command_and_costs_no_memory() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("cat").arg("/dev/zero")).unwrap();
    let before = agent.peak_memory();
    let mut stdout = session.stdout.take().unwrap();
    let mut piece = vec![0; MIB];
    for _ in 0..64 {
        stdout.read_exact(&mut piece).unwrap();
    }
    assert!(agent.peak_memory() < before + 2048, "{} KiB", agent.peak_memory());
    // Others are served meanwhile.
    assert_eq!(agent.sh("echo hello").stdout, b"hello\n");
    session.handle().signal(9).unwrap();
}

#[test]
fn a_host_that_closes_output_is_a_broken_pipe_for_the_command() {
    let agent = TestAgent::start();
    let mut session = agent.client.exec(&ExecSpec::new("yes")).unwrap();
    drop(session.stdout.take());
    let status = session.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(status.shell_code(), 128 + 13);
}

#[test]
fn a_command_that_closes_its_input_is_a_broken_pipe_for_the_host() {
    let agent = TestAgent::start();
    let spec = sh("exec <&-; echo closed; cat /dev/zero").stdin(Stdio::Stream);
    let mut session = agent.client.exec(&spec).unwrap();
    assert_eq!(read_line(session.stdout.as_mut().unwrap()), "closed\n");
    let mut stdin = session.stdin.take().unwrap();
    let error = loop {
        if let Err(error) = stdin.write_all(&[0; 65536]) {
            break error.kind();
        }
    };
    assert!(matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
    session.handle().signal(9).unwrap();
}

#[test]
fn output_outlives_the_command() {
    let agent = TestAgent::start();
    // The command ends at once; what it left in the background writes when the host says so.
    let spec = sh("exec 3<&0; (read line <&3; echo \"late $line\") & exit 0").stdin(Stdio::Stream);
    let mut session = agent.client.exec(&spec).unwrap();
    assert!(session.wait().unwrap().success());
    session.stdin.as_mut().unwrap().write_all(b"word\n").unwrap();
    let mut text = String::new();
    session.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "late word\n");
}

#[test]
fn standard_output_can_be_opened_by_name() {
    let output = TestAgent::start().sh("echo named > /dev/stdout");
    assert_eq!(output.stdout, b"named\n");
}
