//! The processes of a container, as `top` shows them.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agent_protocol::message::{Process, Processes};

use crate::{program::user, server::since_boot};

/// The most processes in one answer, and the most bytes of their commands together: it is one
/// message.
const MOST: usize = 1000;
const COMMANDS: usize = 64 << 10;

/// The most bytes of one command.
const COMMAND: usize = 4096;

/// Major numbers of pseudo-terminals (kernel, `admin-guide/devices.txt`).
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

/// Reads what `/proc` says of processes. Those that end meanwhile are left out.
pub(crate) fn read(mut pids: Vec<i32>) -> Processes {
    pids.sort_unstable();
    let units = Units::of_the_kernel();
    let mut room = COMMANDS;
    let mut processes = Vec::new();
    for pid in pids.into_iter().take(MOST) {
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        let Some(mut process) = parse(&String::from_utf8_lossy(&stat), &units) else { continue };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        process.uid = effective_user(&status);
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !arguments.is_empty() {
            process.command = join(&arguments);
        }
        shorten(&mut process.command, room.min(COMMAND));
        room -= process.command.len();
        processes.push(process);
    }
    Processes { processes }
}

/// Fills in the users' names, in the container.
pub(crate) fn name_users(processes: &mut Processes) {
    let mut names = HashMap::new();
    for process in &mut processes.processes {
        let name = names.entry(process.uid).or_insert_with(|| {
            user::name_of(process.uid).unwrap_or_else(|| process.uid.to_string())
        });
        process.user.clone_from(name);
    }
}

/// What the numbers of `/proc/PID/stat` count.
struct Units {
    tick: Duration,
    page: u64,
    booted: Duration,
}

impl Units {
    fn of_the_kernel() -> Self {
        let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tick: Duration::from_secs(1) / ticks.max(1),
            page: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            booted: now.saturating_sub(since_boot()),
        }
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        let tick = u64::try_from(self.tick.as_nanos()).unwrap_or(0);
        ticks.saturating_mul(tick)
    }
}

/// Reads `PID (NAME) STATE PARENT …` (proc(5)); the name may hold anything.
fn parse(stat: &str, units: &Units) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let columns: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Numbered from 3 there.
    let column = |number: usize| columns.get(number - 3)?.parse::<i64>().ok();
    let count = |number| column(number).and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    let booted = u64::try_from(units.booted.as_nanos()).unwrap_or(0);
    Some(Process {
        pid: pid.parse().ok()?,
        parent: u32::try_from(count(4)).unwrap_or(0),
        uid: 0,
        user: String::new(),
        started_ns: booted.saturating_add(units.nanoseconds(count(22))),
        cpu_ns: units.nanoseconds(count(14).saturating_add(count(15))),
        terminal: terminal(u32::try_from(count(7)).unwrap_or(0)),
        command: format!("[{name}]"),
        resident: count(24).saturating_mul(units.page),
        name: name.to_owned(),
    })
}

/// The name of a terminal by its device number.
fn terminal(number: u32) -> String {
    let (major, minor) = (number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xf_ff00));
    if PSEUDO_TERMINALS.contains(&major) {
        let index = (major - PSEUDO_TERMINALS.start()) * 256 + minor;
        return format!("pts/{index}");
    }
    String::new()
}

fn effective_user(status: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let second = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    second.and_then(|uid| uid.parse().ok()).unwrap_or(0)
}

fn join(arguments: &[u8]) -> String {
    let text = String::from_utf8_lossy(arguments);
    text.trim_end_matches('\0').replace('\0', " ")
}

fn shorten(text: &mut String, most: usize) {
    while text.len() > most {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units =
        Units { tick: Duration::from_millis(10), page: 4096, booted: Duration::from_secs(1) };

    #[test]
    fn a_name_with_brackets_confuses_nobody() {
        let stat = "42 (a) b (c) S 7 42 42 34816 42 4194304 1 2 3 4 5 6 0 0 20 0 1 0 300 8192 10 1";
        let process = parse(stat, &UNITS).unwrap();
        assert_eq!((process.pid, process.parent), (42, 7));
        assert_eq!(process.command, "[a) b (c]");
        assert_eq!(process.name, "a) b (c");
        assert_eq!(process.cpu_ns, 110_000_000);
        assert_eq!(process.started_ns, 4_000_000_000);
        assert_eq!(process.terminal, "pts/0");
        assert_eq!(process.resident, 40960);
    }

    #[test]
    fn terminals_beyond_256_have_another_major_number() {
        assert_eq!(terminal(137 << 8 | 4), "pts/260");
        assert_eq!(terminal(0), "");
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let processes = read(vec![own, i32::MAX]).processes;
        assert_eq!(processes.len(), 1);
        assert!(processes[0].command.contains("agent"), "{}", processes[0].command);
    }
}
