//! Tests in the lab, whose emulation is not sound.

use std::env;

/// Attempts of what boots a machine.
const ATTEMPTS: u32 = 3;

/// Whether this is the lab.
pub(crate) fn in_lab() -> bool {
    env::var_os("BULKHEAD_IN_LAB").is_some()
}

/// How many rounds of something a test does: `BULKHEAD_TEST_ROUNDS`, or so many `here`, and fewer
/// `in_lab`, where each takes several times as long.
pub fn rounds(here: u32, in_lab: u32) -> u32 {
    let asked = env::var("BULKHEAD_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    asked.unwrap_or(if self::in_lab() { in_lab } else { here })
}

/// Calls `act`; in the lab, where guests now and then end in a triple fault or hang as they boot, up
/// to twice more, which is told. For tests with so many machines that one of them is likely to.
///
/// # Errors
///
/// What the last call gave.
#[expect(clippy::print_stderr, reason = "it belongs to what a test that fails says")]
pub fn again_in_lab<T>(act: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let is_lab = in_lab();
    for attempt in 1..ATTEMPTS {
        match act() {
            Err(error) if is_lab => eprintln!("attempt {attempt} in the lab failed: {error:#}"),
            result => return result,
        }
    }
    act()
}
