//! The guest's metrics, from `/proc`. A file that is missing leaves its part empty.

mod disk;
mod memory;
mod net;
mod processor;

use std::fs;

use agent_protocol::message::{CpuMetrics, Metrics};

use crate::server::since_boot;

/// Reads everything.
pub(crate) fn read() -> Metrics {
    let (load, tasks) = processor::load(&text("/proc/loadavg"));
    Metrics {
        uptime_us: u64::try_from(since_boot().as_micros()).unwrap_or(u64::MAX),
        load,
        memory: Some(memory::parse(&text("/proc/meminfo"))),
        cpus: processors(),
        disks: disk::parse(&text("/proc/diskstats")),
        nets: net::parse(&text("/proc/net/dev")),
        file_systems: disk::file_systems(&text("/proc/self/mounts")),
        tasks,
    }
}

/// The machine's processors.
pub(crate) fn processors() -> Vec<CpuMetrics> {
    processor::parse(&text("/proc/stat"), rustix::param::clock_ticks_per_second())
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number in a column, 0 where there is none.
fn column(columns: &[&str], index: usize) -> u64 {
    columns.get(index).and_then(|text| text.parse().ok()).unwrap_or(0)
}
