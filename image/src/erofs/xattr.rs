//! Extended attributes as they lie behind an inode.

use zerocopy::IntoBytes;

use super::layout::{MAX_NAME, XattrEntry, XattrHeader};

/// Most bytes of a file's attributes: the inode counts them in units of four, in 16 bits.
const MAX_ENCODED: usize = size_of::<XattrHeader>() + 4 * (u16::MAX as usize - 1);

/// Prefixes of names, which are numbers on disk.
const PREFIXES: [(&[u8], u8); 6] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"lustre.", 5),
    (b"security.", 6),
];

/// An extended attribute that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XattrError {
    /// Its name is longer than 255 bytes.
    #[error("the name of an extended attribute is longer than {MAX_NAME} bytes")]
    NameTooLong,
    /// Its value is longer than 65,535 bytes.
    #[error("the value of an extended attribute is longer than {} bytes", u16::MAX)]
    ValueTooLong,
    /// All together are too long for an inode.
    #[error("the extended attributes of one file have more than {MAX_ENCODED} bytes")]
    TooMany,
}

/// A file's extended attributes, ready to be written: a multiple of four bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Xattrs(Box<[u8]>);

impl Xattrs {
    /// Encodes attributes by their full names. Those of a namespace that Linux does not know are
    /// left out, as file systems have no place for them.
    pub(crate) fn new<'a>(
        attributes: impl IntoIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
    ) -> Result<Self, XattrError> {
        let (mut bytes, mut attributes) = (Vec::new(), attributes.into_iter());
        attributes.try_for_each(|(name, value)| append(&mut bytes, name, value))?;
        Ok(Self(bytes.into()))
    }

    /// Adds an attribute that is not there yet.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), XattrError> {
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        append(&mut bytes, name, value)?;
        self.0 = bytes.into();
        Ok(())
    }

    /// The bytes behind the inode.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes they are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Their count as an inode has it.
    pub(super) fn units(&self) -> u16 {
        match self.0.len().checked_sub(size_of::<XattrHeader>()) {
            // Fits by construction.
            Some(entries) => u16::try_from(entries / 4 + 1).unwrap_or(u16::MAX),
            None => 0,
        }
    }
}

fn append(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), XattrError> {
    let Some((prefix, rest)) = split(name) else { return Ok(()) };
    let name_len = u8::try_from(rest.len()).map_err(|_| XattrError::NameTooLong)?;
    let value_len = u16::try_from(value.len()).map_err(|_| XattrError::ValueTooLong)?;
    if bytes.is_empty() {
        bytes.extend([0; size_of::<XattrHeader>()]);
    }
    let entry = XattrEntry { name_len, prefix, value_len: value_len.into() };
    bytes.extend_from_slice(entry.as_bytes());
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    if bytes.len() > MAX_ENCODED { Err(XattrError::TooMany) } else { Ok(()) }
}

/// A name's prefix as a number, and what follows it.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(prefix, number)| {
        let rest = name.strip_prefix(*prefix)?;
        // The names of access control lists are complete; others go on after the dot.
        (prefix.ends_with(b".") != rest.is_empty()).then_some((*number, rest))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn xattrs(name: &str, value: &[u8]) -> Result<Xattrs, XattrError> {
        Xattrs::new(&BTreeMap::from([(name.as_bytes().to_vec(), value.to_vec())]))
    }

    #[test]
    fn attribute_is_padded_and_counted_with_its_header() {
        let encoded = xattrs("user.ab", b"xyz").unwrap();
        assert_eq!(encoded.as_bytes()[12..], *b"\x02\x01\x03\0abxyz\0\0\0");
        assert_eq!(encoded.units(), 4);
        assert_eq!(Xattrs::default().units(), 0);
    }

    #[test]
    fn access_control_list_has_no_name_of_its_own() {
        let encoded = xattrs("system.posix_acl_access", b"abcd").unwrap();
        assert_eq!(encoded.as_bytes()[12..], *b"\0\x02\x04\0abcd");
    }

    #[test]
    fn name_without_a_known_namespace_is_left_out() {
        for name in ["com.apple.quarantine", "user.", "system.other", "system.posix_acl_access2"] {
            assert_eq!(xattrs(name, b"x").unwrap(), Xattrs::default(), "{name}");
        }
    }

    #[test]
    fn too_long_names_values_and_sums_are_refused() {
        let name = format!("user.{}", "n".repeat(256));
        assert_eq!(xattrs(&name, b"").unwrap_err(), XattrError::NameTooLong);
        assert_eq!(xattrs("user.v", &[0; 65536]).unwrap_err(), XattrError::ValueTooLong);
        let many: BTreeMap<_, _> =
            (0..5).map(|n| (format!("user.{n}").into_bytes(), vec![0; 65535])).collect();
        assert_eq!(Xattrs::new(&many).unwrap_err(), XattrError::TooMany);
    }
}
