//! Sees a kernel's panic in what it prints, for kernels without a pvpanic driver.

use std::sync::Arc;

use crate::legacy::{GuestRequest, GuestRequests};

/// What every Linux kernel prints first.
const PANIC: &[u8] = b"Kernel panic - not syncing";

/// Tells the machine of panics.
pub(super) struct PanicWatch {
    /// How much of the message was seen in a row.
    seen: usize,
    requests: Arc<dyn GuestRequests>,
}

impl PanicWatch {
    /// A watch that passes panics on to `requests`.
    pub(super) fn new(requests: Arc<dyn GuestRequests>) -> Self {
        Self { seen: 0, requests }
    }

    /// Takes what is printed next.
    pub(super) fn see(&mut self, printed: &[u8]) {
        for byte in printed {
            if PANIC.get(self.seen) == Some(byte) {
                self.seen += 1;
            } else {
                // Only its first byte is a K, so that no other start is missed.
                self.seen = usize::from(Some(byte) == PANIC.first());
            }
            if self.seen == PANIC.len() {
                self.seen = 0;
                self.requests.request(GuestRequest::Panicked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl GuestRequests for Count {
        fn request(&self, request: GuestRequest) {
            assert_eq!(request, GuestRequest::Panicked);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many panics are in the text, printed in pieces of 5 bytes.
    fn panics(text: &[u8]) -> usize {
        let count = Arc::<Count>::default();
        let mut watch = PanicWatch::new(count.clone());
        text.chunks(5).for_each(|piece| watch.see(piece));
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn message_is_seen_wherever_it_stands() {
        assert_eq!(panics(b"[1.0] KKernel panic - not syncing: VFS\n"), 1);
        assert_eq!(panics(b"Kernel Kernel panic - not syncing"), 1);
    }

    #[test]
    fn other_text_is_no_panic() {
        assert_eq!(panics(b"Kernel panic - not synching"), 0);
    }
}
