//! The block before each file: POSIX ustar and GNU's form of it.

use super::super::ImportError;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;
/// Where the checksum is, which counts as spaces in itself.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A header whose checksum is right.
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    /// `None` for a block of zeroes, which ends the archive.
    pub(super) fn new(block: [u8; BLOCK]) -> Result<Option<Self>, ImportError> {
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let header = Self(block);
        let stored = number(header.field(CHECKSUM));
        let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { b' ' } else { *byte };
        let bytes = || header.0.iter().enumerate().map(byte);
        let sum: i64 = bytes().map(i64::from).sum();
        // Old programs added signed characters.
        let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
        match stored {
            Some(stored) if stored == sum || stored == signed => Ok(Some(header)),
            _ => Err(ImportError::Damaged("a checksum is wrong")),
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.field(156..157).first().copied().unwrap_or_default()
    }

    /// The path, at most 255 bytes.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(self.field(0..100));
        // GNU's form has times where POSIX has the beginning of the path.
        let prefix = if self.is_posix() { text(self.field(345..500)) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(self.field(157..257)).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u16, ImportError> {
        let mode =
            number(self.field(100..108)).ok_or(ImportError::Damaged("a mode is no number"))?;
        // What is above are the kind of the file, which is said elsewhere, and extensions.
        u16::try_from(mode & 0o7777).map_err(|_| ImportError::Damaged("a mode is no number"))
    }

    pub(super) fn uid(&self) -> Result<i64, ImportError> {
        number(self.field(108..116)).ok_or(ImportError::Damaged("a user id is no number"))
    }

    pub(super) fn gid(&self) -> Result<i64, ImportError> {
        number(self.field(116..124)).ok_or(ImportError::Damaged("a group id is no number"))
    }

    pub(super) fn size(&self) -> Result<u64, ImportError> {
        unsigned(self.field(124..136)).ok_or(ImportError::Damaged("a size is no number"))
    }

    pub(super) fn mtime(&self) -> Result<i64, ImportError> {
        number(self.field(136..148)).ok_or(ImportError::Damaged("a time is no number"))
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Result<(u64, u64), ImportError> {
        let pair = unsigned(self.field(329..337)).zip(unsigned(self.field(337..345)));
        pair.ok_or(ImportError::Damaged("a device number is no number"))
    }

    /// Some bytes of it; none if they are not within it.
    pub(super) fn field(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }

    fn is_posix(&self) -> bool {
        self.field(257..263) == b"ustar\0"
    }
}

/// A text up to its NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number that is not negative.
pub(super) fn unsigned(field: &[u8]) -> Option<u64> {
    number(field)?.try_into().ok()
}

/// A number: octal digits between spaces and NULs, none of which is 0, or with the highest bit set
/// a binary one in two's complement, as GNU has it.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // The next bit is the sign.
        let start = if first & 0x40 != 0 { -1 } else { 0 };
        let low = i64::from(first & 0x3f) - if start < 0 { 0x40 } else { 0 };
        return field
            .iter()
            .skip(1)
            .try_fold(low, |value, byte| value.checked_mul(256)?.checked_add(i64::from(*byte)));
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = field.get(start..)?;
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !rest.iter().all(blank) {
        return None;
    }
    digits.iter().try_fold(0i64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_numbers_are_read_between_spaces_and_nuls() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  644 \0\0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777"), Some(0o77_777_777_777));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for field in [&b"0008"[..], b"6 4", b"-1", b"0x1", b""] {
            assert_eq!(number(field), None, "{field:?}");
        }
    }

    #[test]
    fn binary_numbers_have_a_sign() {
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\x01"), Some(0x201));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(unsigned(b"\xff\xff"), None);
    }

    #[test]
    fn checksum_of_unsigned_and_of_signed_bytes_is_right_and_no_other() {
        let sum = |signed: bool, off: i64| {
            let mut block = [0; BLOCK];
            block[0] = 0xe4;
            let first = if signed { -0x1c } else { 0xe4 };
            let text = format!("{:06o}\0 ", first + 8 * 32 + off);
            block[CHECKSUM].copy_from_slice(text.as_bytes());
            Header::new(block).is_ok_and(|header| header.is_some())
        };
        assert!(sum(false, 0) && sum(true, 0));
        assert!(!sum(false, 1));
    }
}
