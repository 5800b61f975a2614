//! Messages that quote what a user wrote, which may be megabytes.

/// Bytes of a message's beginning and of its end that are kept.
const KEPT: usize = 512;

/// A long text without its middle: what is wrong stands at the beginning, and where at the end.
pub(crate) fn shorten(mut text: String) -> String {
    if text.len() > 2 * KEPT {
        let (from, to) = (text.floor_char_boundary(KEPT), text.len() - KEPT);
        text.replace_range(from..text.ceil_char_boundary(to), " […] ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_stays() {
        let text = "x".repeat(1024);
        assert_eq!(shorten(text.clone()), text);
    }

    #[test]
    fn long_text_keeps_both_ends_between_characters() {
        let text = format!("a{}z", "ä".repeat(100_000));
        let short = shorten(text);
        assert!(short.starts_with("aä") && short.ends_with("äz"), "{short}");
        assert!(short.len() < 1100 && short.contains("ä […] ä"), "{short}");
    }
}
