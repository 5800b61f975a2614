//! The ELF note that names a kernel's PVH entry point.

/// Bytes of a note segment that are searched at most; Linux has about 500.
pub(super) const MAX_NOTES: usize = 64 << 10;
/// `XEN_ELFNOTE_PHYS32_ENTRY`: physical address of the 32-bit entry point.
const PHYS32_ENTRY: u32 = 18;
const NAME: &[u8] = b"Xen\0";

/// The 32-bit entry point in `notes`, a note segment whose entries are padded to `align`.
///
/// Malformed notes end the search: a kernel without the note can still be entered otherwise.
pub(super) fn find(mut notes: &[u8], align: u64) -> Option<u32> {
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let name_size = word(notes, 0)?;
        let description_size = word(notes, 4)?;
        let kind = word(notes, 8)?;
        let name_end = 12usize.checked_add(usize::try_from(name_size).ok()?)?;
        let name = notes.get(12..name_end)?;
        let start = name_end.checked_next_multiple_of(align)?;
        let end = start.checked_add(usize::try_from(description_size).ok()?)?;
        let description = notes.get(start..end)?;
        if kind == PHYS32_ENTRY && name == NAME {
            return word(description, 0);
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One note with 4-byte padding.
    pub(in crate::boot) fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        note.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        note.extend(u32::try_from(description.len()).unwrap().to_le_bytes());
        note.extend(kind.to_le_bytes());
        note.extend(name);
        note.resize(note.len().next_multiple_of(4), 0);
        note.extend(description);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    #[test]
    fn the_entry_is_found_behind_other_notes() {
        let mut notes = note(b"GNU\0", 3, &[7; 20]);
        notes.extend(note(b"Linux\0", 257, b"x"));
        notes.extend(note(b"Xen\0", 18, &0x100_0000_u32.to_le_bytes()));
        assert_eq!(find(&notes, 4), Some(0x100_0000));
    }

    #[test]
    fn eight_byte_descriptions_give_their_low_half() {
        let notes = note(b"Xen\0", 18, &0x123_4560_u64.to_le_bytes());
        assert_eq!(find(&notes, 4), Some(0x123_4560));
    }

    #[test]
    fn other_owners_and_kinds_do_not_count() {
        let mut notes = note(b"GNU\0", 18, &[1; 4]);
        notes.extend(note(b"Xen\0", 5, &[1; 4]));
        assert_eq!(find(&notes, 4), None);
    }

    #[test]
    fn truncated_or_wrapping_notes_end_the_search() {
        let notes = note(b"Xen\0", 18, &[1; 4]);
        assert_eq!(find(&notes[..17], 4), None);
        let mut wrapping = notes.clone();
        wrapping[..8].fill(0xff);
        assert_eq!(find(&wrapping, 4), None);
        assert_eq!(find(&[], 4), None);
    }

    #[test]
    fn an_empty_description_is_no_entry() {
        assert_eq!(find(&note(b"Xen\0", 18, &[]), 4), None);
    }
}
