//! The lab as its users see it: `scripts/lab exec` against an open lab.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn lab(arguments: &[&str]) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lab");
    let mut command = Command::new(script);
    command.arg("exec").args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    lab(arguments).output().expect("scripts/lab starts")
}

#[test]
fn exit_status_and_both_streams_come_back() {
    let output = run(&["--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(137));
}

#[test]
fn missing_command_gives_127() {
    assert_eq!(run(&["no-such-command"]).status.code(), Some(127));
}

#[test]
fn binary_input_returns_unchanged() {
    let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_be_bytes).collect();
    let mut child = lab(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    sender.join().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
}

#[test]
fn directory_and_environment_are_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let output = lab(&["sh", "-c", "pwd; echo $LAB_TEST"])
        .current_dir(folder.path())
        .env("LAB_TEST", "a b")
        .output()
        .unwrap();
    let expected = format!("{}\na b\n", folder.path().display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn file_rewritten_on_the_host_is_seen_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let name = path.to_str().unwrap();
    std::fs::write(&path, "first").unwrap();
    assert_eq!(run(&["cat", name]).stdout, b"first");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "second, longer").unwrap();
    assert_eq!(run(&["cat", name]).stdout, b"second, longer");
}

#[test]
fn what_a_command_writes_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let name = path.to_str().unwrap();
    assert!(run(&["sh", "-c", &format!("echo x >{name}")]).status.success());
    assert!(!path.exists());
    assert!(!run(&["test", "-e", name]).status.success());
}

#[test]
fn background_process_ends_with_its_command() {
    // It holds standard output open: were it left, the lab would wait for it.
    let started = Instant::now();
    let output = run(&["sh", "-c", "sleep 1000 & echo started"]);
    assert_eq!(output.stdout, b"started\n");
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn command_beyond_its_time_limit_gives_124() {
    let output = run(&["--timeout", "1", "sleep", "1000"]);
    assert_eq!(output.status.code(), Some(124));
    assert!(String::from_utf8_lossy(&output.stderr).contains("took longer than it may"));
}

#[test]
fn commands_run_at_the_same_time() {
    let children: Vec<_> = (0..4)
        .map(|number| {
            let child =
                lab(&["sh", "-c", &format!("echo {number}")]).stdout(Stdio::piped()).spawn();
            child.unwrap()
        })
        .collect();
    let outputs: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().stdout).collect();
    assert_eq!(outputs, [b"0\n", b"1\n", b"2\n", b"3\n"]);
}

#[test]
fn kvm_of_the_lab_offers_hardware_virtualization() {
    let script = "test -c /dev/kvm && test -c /dev/net/tun && grep -qw svm /proc/cpuinfo";
    assert!(run(&["sh", "-c", script]).status.success());
}

/// A guest on processor 0 takes the lab down sooner or later: see `host::qemu`.
#[test]
fn processor_0_is_kept_free() {
    assert_eq!(
        run(&["grep", "Cpus_allowed_list", "/proc/self/status"]).stdout,
        b"Cpus_allowed_list:\t1-2\n"
    );
}

#[test]
fn user_namespaces_can_be_made() {
    assert_eq!(run(&["unshare", "-Ur", "id", "-u"]).stdout, b"0\n");
}
