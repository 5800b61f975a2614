//! Sees a kernel's panic in what it prints, for kernels without a pvpanic driver.

/// What every Linux kernel prints first.
const PANIC: &[u8] = b"Kernel panic - not syncing";

/// How much of it was seen in a row.
#[derive(Debug, Default)]
pub(super) struct PanicWatch(usize);

impl PanicWatch {
    /// Takes the next byte printed; says whether it completes a panic's message.
    pub(super) fn see(&mut self, byte: u8) -> bool {
        if PANIC.get(self.0) == Some(&byte) {
            self.0 += 1;
        } else {
            // Only its first byte is a K, so that no other start is missed.
            self.0 = usize::from(Some(&byte) == PANIC.first());
        }
        let complete = self.0 == PANIC.len();
        if complete {
            self.0 = 0;
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panics(text: &[u8]) -> usize {
        let mut watch = PanicWatch::default();
        text.iter().filter(|byte| watch.see(**byte)).count()
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
