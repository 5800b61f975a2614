//! The engine of a user without privileges, and its clients.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use anyhow::ensure;
use rustix::fs::{XattrFlags, setxattr};
use tests::TestEngine;

const PAGE: &str = "echo found > /tmp/index.html; exec httpd -f -h /tmp";

#[test]
fn plain_user_has_containers_with_folders_networks_and_ports() -> anyhow::Result<()> {
    let mut engine = TestEngine::start_as_plain_user()?;
    engine.load_busybox()?;
    let folder = engine.folder().join("run");
    let user = fs::metadata(&folder)?.uid();
    ensure!(user != 0, "the engine is root's");

    let low = engine.docker(&["run", "--rm", "-p", "127.0.0.1:88:80", "busybox", "true"])?;
    let said = String::from_utf8_lossy(&low.stderr);
    ensure!(low.status.code() == Some(125) && said.contains("only root may listen"), "{said}");
    ensure!(engine.text(&["info", "--format", "{{.SecurityOptions}}"])?.contains("rootless"));

    engine.text(&["network", "create", "front"])?;
    let bind = format!("{}:/host", folder.display());
    engine.text(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "front",
        "-v",
        &bind,
        "-v",
        "data:/data",
        "-p",
        "127.0.0.1::80",
        "-m",
        "100m",
        "busybox",
        "sh",
        "-c",
        PAGE,
    ])?;
    // Owners and special bits are kept in an attribute of the file. A file system without such
    // attributes, as tmpfs before Linux 6.6, has none but the user.
    let keeps_owners = setxattr(&folder, "user.test", b"", XattrFlags::CREATE).is_ok();
    let (owner, mode, data_owner) =
        if keeps_owners { ("7:8:4700", 0o700, "33") } else { ("0:0:644", 0o644, "0") };
    // What the user owns is root's in the container, and what any user of the container makes is
    // the user's.
    let write = "stat -c %u:%g /host; cd /host; echo x > made; chown 7:8 made; chmod 4700 made; \
                 mkdir sub; echo kept > /data/file; chown 33 /data/file; stat -c %u:%g:%a made";
    let seen = engine.text(&["exec", "web", "sh", "-c", write])?;
    assert_eq!(seen.lines().collect::<Vec<_>>(), ["0:0", owner]);
    let made = fs::metadata(folder.join("made"))?;
    assert_eq!((made.uid(), made.permissions().mode() & 0o7777), (user, mode));
    assert_eq!(fs::metadata(folder.join("sub"))?.uid(), user);

    engine.kill()?;
    engine.resume()?;
    let state = "cat /data/file; stat -c %u /data/file; ping -c 1 -W 20 web >/dev/null && echo up";
    let found = engine.text(&["exec", "web", "sh", "-c", state])?;
    assert_eq!(found.lines().collect::<Vec<_>>(), ["kept", data_owner, "up"]);
    let port = engine.text(&["port", "web", "80"])?;
    let page = Command::new("busybox").args(["wget", "-q", "-O", "-", &port]).output()?.stdout;
    assert_eq!(String::from_utf8(page)?.trim(), "found");
    engine.text(&["stop", "-t", "1", "web"])?;
    engine.text(&["rm", "web"])?;
    engine.text(&["volume", "rm", "data"])?;
    engine.text(&["network", "rm", "front"])?;
    Ok(())
}
