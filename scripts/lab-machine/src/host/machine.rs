//! A lab's life.
//!
//! ```text
//!  first start:  boot ──► server listens ──► stop, save memory and devices ──► quit
//!  every start:  restore from the files (memory mapped privately) ──► sessions ──► end
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{PidfdFlags, Signal};
use serde_json::json;

use super::qemu::{self, Image, SavedFiles, Size, Start};
use super::qmp::Qmp;
use super::record::{self, Record};

/// For the emulated boot up to its server; usually 5 s on an idle machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const RESTORE_LIMIT: Duration = Duration::from_secs(60);

/// Where a lab keeps its record, console and lock.
#[derive(Clone, Debug)]
pub struct Lab {
    /// A folder that is the user's alone.
    pub folder: PathBuf,
}

impl Lab {
    /// The console's file.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// The running lab, if one runs.
    pub fn running(&self) -> Result<Option<Record>> {
        Ok(Record::read(&self.folder)?.filter(|record| record.is_running(&self.folder)))
    }

    /// The running lab, started if there is none. Callers at the same time get
    /// the same one.
    pub fn up(&self, image: &Image, size: Size) -> Result<Record> {
        record::private_folder(&self.folder)?;
        let _lock = lock(&self.folder.join("lock"))?;
        if let Some(record) = self.running()? {
            return Ok(record);
        }
        Record::remove(&self.folder);
        let record = self.start(image, size).inspect_err(|_| self.show_logs())?;
        record.write(&self.folder)?;
        Ok(record)
    }

    /// Ends the running lab; true when there was one.
    pub fn down(&self) -> Result<bool> {
        let running = self.running()?;
        if let Some(record) = &running {
            end(record.pid)?;
        }
        Record::remove(&self.folder);
        Ok(running.is_some())
    }

    fn start(&self, image: &Image, size: Size) -> Result<Record> {
        let saved = saved_state(image, size)?;
        if !saved.devices.exists() {
            self.boot_and_save(image, size, &saved)?;
        }
        let mut qemu = qemu::spawn(image, size, Start::Restore, &saved, &self.folder)?;
        let port = restore(&mut qemu);
        if port.is_err() {
            let _ = qemu.kill();
            let _ = qemu.wait();
            // Perhaps the state is at fault: the next start makes a new one.
            let _ = fs::remove_file(&saved.devices);
        }
        Ok(Record {
            pid: qemu.id(),
            port: port.context("Failed to restore the lab")?,
            token: image.token()?,
        })
    }

    fn boot_and_save(&self, image: &Image, size: Size, saved: &SavedFiles) -> Result<()> {
        let folder = saved.devices.parent().context("the state has no folder")?;
        let _lock = lock(&folder.join("lock"))?;
        if saved.devices.exists() {
            return Ok(());
        }
        // Written under other names and published by renaming, so that a state
        // is whole or absent.
        let fresh =
            SavedFiles { memory: folder.join("memory.new"), devices: folder.join("devices.new") };
        let _ = fs::remove_file(&fresh.memory);
        let mut qemu = qemu::spawn(image, size, Start::Boot, &fresh, &self.folder)?;
        let done = save(&mut qemu);
        if done.is_err() {
            let _ = qemu.kill();
        }
        let _ = qemu.wait();
        done.context("Failed to boot the lab")?;
        fs::rename(&fresh.memory, &saved.memory)?;
        fs::rename(&fresh.devices, &saved.devices)?;
        Ok(())
    }

    fn show_logs(&self) {
        use std::io::Write as _;
        super::console::show(&self.console());
        if let Ok(log) = fs::read_to_string(self.folder.join("qemu.log"))
            && !log.is_empty()
        {
            let _ = writeln!(std::io::stderr(), "lab: QEMU said:\n{log}");
        }
    }
}

/// A saved state fits one image, one size and one QEMU.
fn saved_state(image: &Image, size: Size) -> Result<SavedFiles> {
    let output = std::process::Command::new(qemu::PROGRAM)
        .arg("--version")
        .output()
        .with_context(|| format!("Failed to run {}", qemu::PROGRAM))?;
    let version: String = String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let name = format!("state-{version}-{:016x}", qemu::fingerprint(size));
    let folder = image.0.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("Failed to create {folder:?}"))?;
    Ok(SavedFiles::in_folder(&folder))
}

fn monitor(qemu: &mut Child) -> Result<Qmp> {
    let input = qemu.stdin.take().context("QEMU has no standard input")?;
    let output = qemu.stdout.take().context("QEMU has no standard output")?;
    let mut qmp = Qmp::open(input, output, RESTORE_LIMIT)?;
    let capabilities = json!({ "capabilities": [
        { "capability": "events", "state": true },
        { "capability": "x-ignore-shared", "state": true },
    ]});
    qmp.command("migrate-set-capabilities", capabilities)?;
    Ok(qmp)
}

fn save(qemu: &mut Child) -> Result<()> {
    let mut qmp = monitor(qemu)?;
    qmp.wait_for("VSERPORT_CHANGE", BOOT_LIMIT, |data| data["open"] == true)?;
    qmp.command("stop", json!({}))?;
    let uri = json!({ "uri": r#"exec:cat >"$BULKHEAD_LAB_DEVICES""# });
    qmp.command("migrate", uri)?;
    migrated(&mut qmp, BOOT_LIMIT)?;
    qmp.command("quit", json!({}))?;
    Ok(())
}

/// Restores and returns the port that leads to the server.
fn restore(qemu: &mut Child) -> Result<u16> {
    let mut qmp = monitor(qemu)?;
    let uri = json!({ "uri": r#"exec:cat "$BULKHEAD_LAB_DEVICES""# });
    qmp.command("migrate-incoming", uri)?;
    migrated(&mut qmp, RESTORE_LIMIT)?;
    qmp.command("cont", json!({}))?;
    let hmp = json!({ "command-line": "info usernet" });
    let text = qmp.command("human-monitor-command", hmp)?;
    forwarded_port(text.as_str().unwrap_or_default()).context("QEMU forwards no port")
}

fn migrated(qmp: &mut Qmp, limit: Duration) -> Result<()> {
    let failed = std::cell::Cell::new(false);
    qmp.wait_for("MIGRATION", limit, |data| {
        failed.set(data["status"] == "failed");
        failed.get() || data["status"] == "completed"
    })?;
    if failed.get() {
        bail!("QEMU failed to move the machine's state");
    }
    Ok(())
}

/// Finds the port in the table that `info usernet` prints.
fn forwarded_port(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.contains("HOST_FORWARD"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "127.0.0.1")?;
    words.next()?.parse().ok()
}

fn lock(path: &Path) -> Result<fs::File> {
    let file = fs::File::create(path).with_context(|| format!("Failed to create {path:?}"))?;
    file.lock().with_context(|| format!("Failed to lock {path:?}"))?;
    Ok(file)
}

/// Ends a process and waits until it has gone.
fn end(pid: u32) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        bail!("{pid} is no process");
    };
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(());
    };
    for signal in [Signal::TERM, Signal::KILL] {
        rustix::process::pidfd_send_signal(&process, signal).ok();
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        if poll(&mut fds, Some(&limit))? > 0 {
            return Ok(());
        }
    }
    bail!("The lab's process does not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_port_is_read_from_the_table() {
        let table = "Hub -1 (net):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  TCP[HOST_FORWARD]  11       127.0.0.1 36133       10.0.2.15  7000     0     0\n";
        assert_eq!(forwarded_port(table), Some(36133));
    }

    #[test]
    fn table_without_a_forward_has_no_port() {
        assert_eq!(forwarded_port("net: (user)\n"), None);
    }
}
