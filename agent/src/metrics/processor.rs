//! Processors and load, from `/proc/stat` and `/proc/loadavg`.

use agent_protocol::message::CpuMetrics;

use super::column;

/// Reads the lines `cpu0 user nice system idle iowait irq softirq steal …`, whose numbers count
/// `ticks` a second.
pub(super) fn parse(stat: &str, ticks: u64) -> Vec<CpuMetrics> {
    let tick_us = 1_000_000 / ticks.max(1);
    stat.lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            let index = columns.first()?.strip_prefix("cpu")?.parse().ok()?;
            let sum = |indexes: &[usize]| {
                let ticks: u64 = indexes.iter().map(|at| column(&columns, *at)).sum();
                ticks.saturating_mul(tick_us)
            };
            Some(CpuMetrics {
                index,
                user_us: sum(&[1, 2]),
                system_us: sum(&[3, 6, 7]),
                idle_us: sum(&[4]),
                iowait_us: sum(&[5]),
                steal_us: sum(&[8]),
            })
        })
        .collect()
}

/// Reads `0.20 0.18 0.12 1/80 11206`: the load averages and the number of tasks.
pub(super) fn load(loadavg: &str) -> (Vec<f64>, u64) {
    let columns: Vec<&str> = loadavg.split_ascii_whitespace().collect();
    let averages = columns.iter().take(3).filter_map(|text| text.parse().ok()).collect();
    let tasks = columns.get(3).and_then(|text| text.split_once('/'));
    (averages, tasks.and_then(|(_, all)| all.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_line_is_no_processor() {
        let stat = "cpu  9 9 9 9 9 9 9 9\ncpu1 100 2 30 4 5 6 7 8 9 10\nintr 1 2\n";
        let expected = CpuMetrics {
            index: 1,
            user_us: 1_020_000,
            system_us: 430_000,
            idle_us: 40_000,
            iowait_us: 50_000,
            steal_us: 80_000,
        };
        assert_eq!(parse(stat, 100), [expected]);
    }

    #[test]
    fn load_and_tasks_are_read() {
        assert_eq!(load("0.25 0.5 1.00 3/80 11206\n"), (vec![0.25, 0.5, 1.0], 80));
        assert_eq!(load(""), (vec![], 0));
    }
}
