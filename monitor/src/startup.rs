//! How long the process took until it served its clients.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::args::Args;

/// Microseconds of the start-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Startup {
    pub(crate) wall_us: u64,
    pub(crate) cpu_us: u64,
}

impl Startup {
    /// Measures it now: from when whoever started this process says, as Firecracker's jailer does,
    /// or else from `started`.
    pub(crate) fn measure(args: &Args, started: Instant) -> Self {
        let since_main = || micros(started.elapsed());
        let since = |start| clock_us(ClockId::Monotonic).saturating_sub(start);
        let cpu = clock_us(ClockId::ProcessCPUTime);
        Self {
            wall_us: args.start_time_us.map_or_else(since_main, since),
            cpu_us: cpu
                .saturating_sub(args.start_time_cpu_us.unwrap_or(0))
                .saturating_add(args.parent_cpu_time_us.unwrap_or(0)),
        }
    }
}

fn clock_us(clock: ClockId) -> u64 {
    Duration::try_from(clock_gettime(clock)).map_or(0, micros)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn measure(arguments: &[&str]) -> Startup {
        let program = ["bulkhead-vmm"];
        Startup::measure(&Args::parse_from(program.iter().chain(arguments)), Instant::now())
    }

    #[test]
    fn time_is_counted_from_the_start_that_is_given() {
        let earlier = clock_us(ClockId::Monotonic).saturating_sub(5_000_000).to_string();
        let startup = measure(&["--start-time-us", &earlier, "--parent-cpu-time-us", "7000000"]);
        assert!((5_000_000..60_000_000).contains(&startup.wall_us), "{startup:?}");
        assert!(startup.cpu_us >= 7_000_000, "{startup:?}");
    }

    #[test]
    fn time_is_counted_from_main_otherwise() {
        assert!(measure(&[]).wall_us < 1_000_000);
    }
}
