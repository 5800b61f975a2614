//! What a container uses, from its control group.

use agent_protocol::message::ContainerMetrics;

use super::cgroup::{Cgroup, number};

const MICROSECOND: u64 = 1000;

/// Reads everything. What the kernel does not count is 0.
pub(crate) fn read(cgroup: &Cgroup) -> ContainerMetrics {
    let cpu = cgroup.read("cpu.stat");
    let memory = cgroup.read("memory.stat");
    let io = IoStat::parse(&cgroup.read("io.stat"));
    let micros = |key| number(&cpu, key).saturating_mul(MICROSECOND);
    let (machine_cpu_ns, processors) = machine();
    ContainerMetrics {
        cpu_ns: micros("usage_usec"),
        cpu_user_ns: micros("user_usec"),
        cpu_system_ns: micros("system_usec"),
        periods: number(&cpu, "nr_periods"),
        throttled_periods: number(&cpu, "nr_throttled"),
        throttled_ns: micros("throttled_usec"),
        memory: whole(&cgroup.read("memory.current")),
        memory_inactive_file: number(&memory, "inactive_file"),
        memory_limit: whole(&cgroup.read("memory.max")),
        memory_peak: whole(&cgroup.read("memory.peak")),
        oom_kills: cgroup.oom_kills(),
        pids: whole(&cgroup.read("pids.current")),
        pids_limit: whole(&cgroup.read("pids.max")),
        read_bytes: io.read_bytes,
        written_bytes: io.written_bytes,
        reads: io.reads,
        writes: io.writes,
        machine_cpu_ns,
        processors,
    }
}

/// A file with one number, or `max`, which is told as 0.
fn whole(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// Nanoseconds that all processors were up together, and their number.
fn machine() -> (u64, u32) {
    let processors = crate::metrics::processors();
    let total = processors.iter().fold(0_u64, |total, cpu| {
        let parts = [cpu.user_us, cpu.system_us, cpu.idle_us, cpu.iowait_us, cpu.steal_us];
        parts.iter().fold(total, |total, part| total.saturating_add(*part))
    });
    (total.saturating_mul(MICROSECOND), u32::try_from(processors.len()).unwrap_or(u32::MAX))
}

/// Sums over all disks.
#[derive(Debug, Default, PartialEq, Eq)]
struct IoStat {
    read_bytes: u64,
    written_bytes: u64,
    reads: u64,
    writes: u64,
}

impl IoStat {
    /// Reads lines `254:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
    fn parse(text: &str) -> Self {
        let mut sums = Self::default();
        for pair in text.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
            let value: u64 = pair.1.parse().unwrap_or(0);
            let sum = match pair.0 {
                "rbytes" => &mut sums.read_bytes,
                "wbytes" => &mut sums.written_bytes,
                "rios" => &mut sums.reads,
                "wios" => &mut sums.writes,
                _ => continue,
            };
            *sum = sum.saturating_add(value);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::{super::cgroup::field, *};

    #[test]
    fn disks_are_summed() {
        let text = "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=9 dios=9\n\
                    254:16 rbytes=1 wbytes=2 rios=3 wios=4\n";
        let expected = IoStat { read_bytes: 4097, written_bytes: 2, reads: 4, writes: 4 };
        assert_eq!(IoStat::parse(text), expected);
    }

    #[test]
    fn no_limit_is_0() {
        assert_eq!((whole("max\n"), whole("123\n")), (0, 123));
    }

    #[test]
    fn keys_are_whole_words() {
        assert_eq!(field("usage_usec 5\nuser_usec 7\n", "user_usec"), Some("7"));
        assert_eq!(number("nr_throttled 1\n", "nr"), 0);
    }
}
