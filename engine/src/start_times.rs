//! When the start of a container reached which point: where the time goes that its user waits.
//!
//! It is always noted, as a note is a look at the clock. `--log-level debug` tells of it.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Points on the way from a request to the container's first output, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It has its places on its networks, and the switch knows of them.
    Networks,
    /// Its writable disk is there.
    Disks,
    /// The machine may start: its folder is there, and not too many others are starting.
    Turn,
    /// The monitor runs and has the machine's document.
    Monitor,
    /// The agent has greeted: kernel and agent are up.
    Agent,
    /// The cards have their addresses.
    Cards,
    /// The container is made in its machine: file systems, namespaces, control group.
    Made,
    /// Its first process runs.
    Process,
    /// It has written something.
    Output,
}

impl Point {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Networks,
        Self::Disks,
        Self::Turn,
        Self::Monitor,
        Self::Agent,
        Self::Cards,
        Self::Made,
        Self::Process,
        Self::Output,
    ];

    /// What it is called in the log.
    const fn name(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::Disks => "disks",
            Self::Turn => "turn",
            Self::Monitor => "monitor",
            Self::Agent => "agent",
            Self::Cards => "cards",
            Self::Made => "made",
            Self::Process => "process",
            Self::Output => "output",
        }
    }
}

/// The guest's part of the way to [`Point::Agent`], by its own clock, which begins with its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTimes {
    /// When the agent began.
    pub agent_began: Duration,
    /// When it served.
    pub agent_served: Duration,
}

/// The times of one start. Those of points that it did not pass are missing: a container in a pod
/// that runs needs no machine.
#[derive(Debug)]
pub struct StartTimes {
    began: Instant,
    reached: [OnceLock<Duration>; Point::ALL.len()],
    guest: OnceLock<GuestTimes>,
}

impl StartTimes {
    /// Of a start that begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now(), reached: Default::default(), guest: OnceLock::new() }
    }

    /// Notes a point; tells whether it is reached for the first time, which is what counts.
    pub fn reach(&self, point: Point) -> bool {
        let slot = self.reached.get(point as usize);
        slot.is_some_and(|slot| slot.get().is_none() && slot.set(self.began.elapsed()).is_ok())
    }

    /// Notes what the agent says of its own start.
    pub fn note_guest(&self, times: GuestTimes) {
        self.guest.get_or_init(|| times);
    }

    /// Time from the beginning to a point, if it was reached.
    #[must_use]
    pub fn get(&self, point: Point) -> Option<Duration> {
        self.reached.get(point as usize)?.get().copied()
    }
}

/// Milliseconds from each point to the next, and of all.
impl fmt::Display for StartTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = Duration::ZERO;
        for point in Point::ALL {
            let Some(reached) = self.get(point) else { continue };
            write!(f, "{} {}, ", point.name(), millis(reached.saturating_sub(last)))?;
            last = last.max(reached);
            if let (Point::Agent, Some(guest)) = (point, self.guest.get()) {
                let own = guest.agent_served.saturating_sub(guest.agent_began);
                let kernel = millis(guest.agent_began);
                write!(f, "(in the guest: kernel {kernel}, agent {}), ", millis(own))?;
            }
        }
        write!(f, "all {} ms", millis(last))
    }
}

/// With one decimal.
fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_counts_when_it_is_first_reached() {
        let times = StartTimes::begin();
        assert_eq!(times.get(Point::Output), None);
        assert!(times.reach(Point::Output));
        let first = times.get(Point::Output);
        assert!(first.is_some());
        assert!(!times.reach(Point::Output));
        assert_eq!(times.get(Point::Output), first);
    }

    #[test]
    fn line_has_the_time_between_points_and_leaves_out_what_was_not_passed() {
        let times = StartTimes::begin();
        let reached = [(Point::Networks, 2), (Point::Agent, 402), (Point::Made, 442)];
        for (point, ms) in reached {
            times.reached[point as usize].set(Duration::from_millis(ms)).unwrap();
        }
        let (agent_began, agent_served) = (Duration::from_millis(310), Duration::from_millis(325));
        times.note_guest(GuestTimes { agent_began, agent_served });
        assert_eq!(
            times.to_string(),
            "networks 2.0, agent 400.0, (in the guest: kernel 310.0, agent 15.0), made 40.0, \
             all 442.0 ms"
        );
    }

    #[test]
    fn points_are_numbered_in_their_order() {
        assert!(Point::ALL.iter().enumerate().all(|(index, point)| *point as usize == index));
    }
}
