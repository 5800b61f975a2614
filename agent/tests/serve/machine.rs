//! Requests about the guest as a whole.

use agent_protocol::message::{FailureKind, Mount, PowerMode, Unmount};

use crate::harness::TestAgent;

#[test]
fn metrics_agree_with_the_kernel() {
    let agent = TestAgent::start();
    let metrics = agent.client.metrics().unwrap();
    let total = String::from_utf8(
        agent.sh("echo $(($(grep MemTotal /proc/meminfo | tr -dc 0-9) * 1024))").stdout,
    );
    assert_eq!(metrics.memory.unwrap().total.to_string(), total.unwrap().trim());
    let processors = String::from_utf8(agent.sh("grep -c ^cpu[0-9] /proc/stat").stdout).unwrap();
    assert_eq!(metrics.cpus.len().to_string(), processors.trim());
    assert_eq!(metrics.load.len(), 3);
    assert!(metrics.nets.iter().any(|net| net.name == "lo"));
    assert!(metrics.uptime_us > 0 && metrics.tasks > 1);
}

#[test]
fn uptime_advances() {
    let agent = TestAgent::start();
    let first = agent.client.metrics().unwrap();
    let second = agent.client.metrics().unwrap();
    assert!(second.uptime_us > first.uptime_us);
}

#[test]
fn a_file_system_is_mounted_and_unmounted() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a/b");
    let agent = TestAgent::start();
    let mount = Mount {
        source: b"scratch".to_vec(),
        target: target.to_str().unwrap().into(),
        kind: "tmpfs".into(),
        options: b"size=1m".to_vec(),
        flags: 0,
    };
    match agent.client.mount(mount.clone()) {
        Err(error) if error.to_string().contains("Operation not permitted") => {
            eprintln!("skipped: this process may not mount");
            return;
        }
        result => result.unwrap(),
    }
    let kind = format!("stat -f -c %T {}", target.display());
    assert_eq!(agent.sh(&kind).stdout, b"tmpfs\n");
    agent.client.unmount(Unmount { target: mount.target, detach: false }).unwrap();
    assert_ne!(agent.sh(&kind).stdout, b"tmpfs\n");
}

#[test]
fn an_unknown_file_system_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let agent = TestAgent::start();
    let mount = Mount {
        source: b"none".to_vec(),
        target: folder.path().to_str().unwrap().into(),
        kind: "nosuchfs".into(),
        ..Mount::default()
    };
    let error = agent.client.mount(mount).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::System));
    assert!(error.to_string().starts_with("Failed to mount \"none\" on "), "{error}");
}

#[test]
fn a_relative_mount_target_is_refused() {
    let agent = TestAgent::start();
    let mount = Mount { target: b"here".to_vec(), kind: "tmpfs".into(), ..Mount::default() };
    let error = agent.client.mount(mount).unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::InvalidRequest));
}

#[test]
fn power_off_ends_the_agent() {
    let mut agent = TestAgent::start();
    agent.client.power_off(PowerMode::PowerOff).unwrap();
    agent.client.wait_lost();
    assert_eq!(agent.wait(), Some(0));
}
