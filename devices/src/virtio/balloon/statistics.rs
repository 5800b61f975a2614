//! What the guest says about its memory (VIRTIO 1.3 §5.5.6.3).

use crate::virtio::Buffers;

/// Entries looked at in one report; there are 16 tags.
const MAX_ENTRIES: usize = 64;

/// The guest's last report. What it did not say is `None`. Amounts are bytes, the others count
/// events since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Bytes swapped in.
    pub swap_in: Option<u64>,
    /// Bytes swapped out.
    pub swap_out: Option<u64>,
    /// Page faults that needed input.
    pub major_faults: Option<u64>,
    /// Page faults that did not.
    pub minor_faults: Option<u64>,
    /// Bytes not used for anything.
    pub free_memory: Option<u64>,
    /// Bytes in total.
    pub total_memory: Option<u64>,
    /// Bytes that new programs could have without swapping, estimated.
    pub available_memory: Option<u64>,
    /// Bytes that can be reclaimed without output.
    pub disk_caches: Option<u64>,
    /// Huge pages given out.
    pub hugetlb_allocations: Option<u64>,
    /// Huge pages asked for in vain.
    pub hugetlb_failures: Option<u64>,
    /// Times that the out-of-memory killer ran.
    pub oom_kill: Option<u64>,
    /// Allocations that had to wait.
    pub alloc_stall: Option<u64>,
    /// Pages scanned in the background.
    pub async_scan: Option<u64>,
    /// Pages scanned by who needed memory.
    pub direct_scan: Option<u64>,
    /// Pages reclaimed in the background.
    pub async_reclaim: Option<u64>,
    /// Pages reclaimed by who needed memory.
    pub direct_reclaim: Option<u64>,
}

impl Statistics {
    /// Reads a report; `None` where it is cut short or lies outside of memory. Tags that are
    /// unknown are skipped.
    pub(super) fn read(report: &mut Buffers) -> Option<Self> {
        let mut statistics = Self::default();
        for _ in 0..MAX_ENTRIES {
            if report.is_empty() {
                break;
            }
            let (tag, value): (u16, u64) = split(report.take().ok()?);
            if let Some(field) = statistics.field(tag) {
                *field = Some(value);
            }
        }
        Some(statistics)
    }

    fn field(&mut self, tag: u16) -> Option<&mut Option<u64>> {
        Some(match tag {
            0 => &mut self.swap_in,
            1 => &mut self.swap_out,
            2 => &mut self.major_faults,
            3 => &mut self.minor_faults,
            4 => &mut self.free_memory,
            5 => &mut self.total_memory,
            6 => &mut self.available_memory,
            7 => &mut self.disk_caches,
            8 => &mut self.hugetlb_allocations,
            9 => &mut self.hugetlb_failures,
            10 => &mut self.oom_kill,
            11 => &mut self.alloc_stall,
            12 => &mut self.async_scan,
            13 => &mut self.direct_scan,
            14 => &mut self.async_reclaim,
            15 => &mut self.direct_reclaim,
            _ => return None,
        })
    }
}

/// An entry: the tag and the value, little-endian, without padding.
fn split(entry: [u8; 10]) -> (u16, u64) {
    let [a, b, value @ ..] = entry;
    (u16::from_le_bytes([a, b]), u64::from_le_bytes(value))
}
