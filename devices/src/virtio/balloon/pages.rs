//! Lists of pages that the guest gives up.

use vm_memory::GuestAddress;

use super::config::{BalloonMetrics, PAGE_SHIFT};
use super::release::release_range;
use crate::memory::GuestRam;
use crate::virtio::Buffers;

/// Page numbers read at once.
const BATCH: usize = 1024;
/// Page numbers taken from one list; Linux puts 256 there.
pub(super) const MAX_LIST: usize = 16 * BATCH;

/// Releases the pages whose numbers `list` holds. Returns how many numbers there were; `None`
/// where the list is cut short, too long, or not in memory.
pub(super) fn release_list(
    ram: &GuestRam,
    list: &mut Buffers,
    metrics: &BalloonMetrics,
) -> Option<usize> {
    let mut seen = 0;
    while !list.is_empty() && seen < MAX_LIST {
        let mut raw = [0; 4 * BATCH];
        let len = list.copy_to(&mut raw).ok()?;
        let mut numbers = [0u32; BATCH];
        let mut count = 0;
        for (number, raw) in numbers.iter_mut().zip(raw[..len].as_chunks::<4>().0) {
            *number = u32::from_le_bytes(*raw);
            count += 1;
        }
        // Neighbours make one range; the guest hands them out in any order.
        let numbers = &mut numbers[..count];
        numbers.sort_unstable();
        for run in numbers.chunk_by(|a, b| *b == *a || *b - *a == 1) {
            release_run(ram, run, metrics);
        }
        seen += count;
        if len % 4 != 0 {
            return None;
        }
        list.advance(len);
    }
    list.is_empty().then_some(seen)
}

/// Releases a sorted run of neighbours. It may reach from one region into the next or out of
/// memory: then each page stands for itself.
fn release_run(ram: &GuestRam, run: &[u32], metrics: &BalloonMetrics) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    let pages = (last - first) as usize + 1;
    match release_range(ram, address(*first), pages << PAGE_SHIFT) {
        Some(result) => count(result, metrics),
        None => {
            for number in run {
                match release_range(ram, address(*number), 1 << PAGE_SHIFT) {
                    Some(result) => count(result, metrics),
                    None => metrics.invalid_pages.increment(),
                }
            }
        }
    }
}

fn address(number: u32) -> GuestAddress {
    GuestAddress(u64::from(number) << PAGE_SHIFT)
}

fn count(result: std::io::Result<usize>, metrics: &BalloonMetrics) {
    match result {
        Ok(bytes) => metrics.inflated_bytes.add(bytes as u64),
        Err(_) => metrics.release_failures.increment(),
    }
}
