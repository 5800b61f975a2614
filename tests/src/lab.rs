//! Tests in the lab, which is slow.

use std::env;

/// How many rounds of something a test does: `BULKHEAD_TEST_ROUNDS`, or so many `here`, and fewer
/// `in_lab`, where each takes several times as long.
pub fn rounds(here: u32, in_lab: u32) -> u32 {
    let asked = env::var("BULKHEAD_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let is_lab = env::var_os("BULKHEAD_IN_LAB").is_some();
    asked.unwrap_or(if is_lab { in_lab } else { here })
}
