//! Memory, from `/proc/meminfo`.

use agent_protocol::message::MemoryMetrics;

/// Reads the lines `Name:   1234 kB`.
pub(super) fn parse(meminfo: &str) -> MemoryMetrics {
    let mut metrics = MemoryMetrics::default();
    for line in meminfo.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let place = match name {
            "MemTotal" => &mut metrics.total,
            "MemFree" => &mut metrics.free,
            "MemAvailable" => &mut metrics.available,
            "Cached" => &mut metrics.cached,
            "Buffers" => &mut metrics.buffers,
            "Shmem" => &mut metrics.shared,
            "SwapTotal" => &mut metrics.swap_total,
            "SwapFree" => &mut metrics.swap_free,
            _ => continue,
        };
        let kibibytes = value.trim().trim_end_matches(" kB").parse().unwrap_or(0_u64);
        *place = kibibytes.saturating_mul(1024);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kibibytes_become_bytes() {
        let metrics = parse("MemTotal:  2048 kB\nMemFree: 1 kB\nSwapCached: 9 kB\nHugePages: 3\n");
        let expected = MemoryMetrics { total: 2 << 20, free: 1024, ..MemoryMetrics::default() };
        assert_eq!(metrics, expected);
    }
}
