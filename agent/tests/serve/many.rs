//! Many commands, and what they leave behind.

use std::thread;

use agent_protocol::client::Client;

use crate::harness::{TestAgent, process_exists};

#[test]
fn a_hundred_commands_at_once_keep_their_streams_apart() {
    let agent = TestAgent::start();
    thread::scope(|scope| {
        for number in 0..100 {
            let agent = &agent;
            scope.spawn(move || {
                let output =
                    agent.sh(&format!("echo out {number}; echo err {number} >&2; exit {number}"));
                assert_eq!(output.stdout, format!("out {number}\n").into_bytes());
                assert_eq!(output.stderr, format!("err {number}\n").into_bytes());
                assert_eq!(output.status.shell_code(), number);
            });
        }
    });
}

#[test]
fn commands_leave_no_descriptor_behind() {
    let agent = TestAgent::start();
    let before = agent.descriptors();
    for _ in 0..50 {
        assert!(agent.sh("true").status.success());
    }
    agent.eventually(|| agent.descriptors() == before);
}

#[test]
fn a_client_that_goes_leaves_no_descriptor_behind() {
    let agent = TestAgent::start();
    let before = agent.descriptors();
    let other = Client::connect(&agent.connector).unwrap();
    let session = other.exec(&crate::harness::sh("sleep 1000; echo $$")).unwrap();
    let pid = session.handle().pid();
    drop((session, other));
    agent.eventually(|| !process_exists(pid) && agent.descriptors() == before);
}

#[test]
fn orphans_are_reaped() {
    let agent = TestAgent::start();
    // The orphan's parent ends at once; the orphan when its output has been closed by nobody.
    let output = agent.sh("sh -c 'sleep 0.05 & echo $!'");
    let orphan: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    agent.eventually(|| !process_exists(orphan));
}
