//! What a request says, read once from guest memory and judged.

use std::ffi::{CStr, CString};

use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use crate::virtio::Buffers;

/// Longest name in a folder.
const MAX_NAME: usize = 255;
/// Longest text of a request: a name and the target of a symbolic link.
const MAX_TEXT: usize = MAX_NAME + 4096 + 2;

/// The part of a request that was not taken yet.
pub(super) struct Arguments(Buffers);

impl Arguments {
    pub(super) fn new(data: Buffers) -> Self {
        Self(data)
    }

    /// The next structure. EINVAL if there is less.
    pub(super) fn take<T: FromBytes + IntoBytes>(&mut self) -> Result<T, Errno> {
        self.0.take().map_err(|_| Errno::INVAL)
    }

    /// What is left, as guest memory.
    pub(super) fn data(self) -> Buffers {
        self.0
    }

    /// What is left, as so many texts that end with a NUL.
    pub(super) fn texts<const N: usize>(self) -> Result<[CString; N], Errno> {
        if self.0.len() > N * MAX_TEXT {
            return Err(Errno::NAMETOOLONG);
        }
        let bytes = self.bytes()?;
        let mut rest = &bytes[..];
        let mut texts = Vec::with_capacity(N);
        for _ in 0..N {
            let text = CStr::from_bytes_until_nul(rest).map_err(|_| Errno::INVAL)?;
            rest = rest.get(text.count_bytes() + 1..).ok_or(Errno::INVAL)?;
            texts.push(text.to_owned());
        }
        if !rest.is_empty() {
            return Err(Errno::INVAL);
        }
        texts.try_into().map_err(|_| Errno::INVAL)
    }

    /// What is left, as the name of an entry of a folder.
    pub(super) fn name(self) -> Result<CString, Errno> {
        let [name] = self.texts()?;
        entry_name(name)
    }

    /// What is left, as two names of entries.
    pub(super) fn names(self) -> Result<[CString; 2], Errno> {
        let [one, other] = self.texts()?;
        Ok([entry_name(one)?, entry_name(other)?])
    }

    /// What is left, as a text that ends with a NUL and exactly `len` bytes after it.
    pub(super) fn text_and_bytes(
        self,
        len: usize,
        most: usize,
    ) -> Result<(CString, Vec<u8>), Errno> {
        if len > most || self.0.len() > most + MAX_TEXT {
            return Err(Errno::TOOBIG);
        }
        let mut bytes = self.bytes()?;
        let at = bytes.len().checked_sub(len).ok_or(Errno::INVAL)?;
        let value = bytes.split_off(at);
        let text = CString::from_vec_with_nul(bytes).map_err(|_| Errno::INVAL)?;
        Ok((text, value))
    }

    fn bytes(self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.0.len()];
        self.0.copy_to(&mut bytes).map_err(|_| Errno::FAULT)?;
        Ok(bytes)
    }
}

/// A name that stands for an entry of a folder and cannot lead anywhere else.
pub(super) fn entry_name(name: CString) -> Result<CString, Errno> {
    match name.as_bytes() {
        b"" => Err(Errno::NOENT),
        b"." | b".." => Err(Errno::INVAL),
        bytes if bytes.contains(&b'/') => Err(Errno::INVAL),
        bytes if bytes.len() > MAX_NAME => Err(Errno::NAMETOOLONG),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vm_memory::GuestAddress;

    use super::*;
    use crate::memory::GuestRam;

    fn arguments(bytes: &[u8]) -> Arguments {
        let ram = Arc::new(GuestRam::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap());
        let mut buffers = Buffers::new(ram);
        buffers.push(GuestAddress(0), bytes.len());
        buffers.copy_from(bytes).unwrap();
        Arguments::new(buffers)
    }

    #[test]
    fn name_that_leads_elsewhere_is_refused() {
        for bad in [&b"."[..], b"..", b"a/b", b"/", b"../x"] {
            let name = [bad, b"\0"].concat();
            assert_eq!(arguments(&name).name(), Err(Errno::INVAL), "{bad:?}");
        }
        assert_eq!(arguments(b"\0").name(), Err(Errno::NOENT));
        assert_eq!(arguments(b"...\0").name().unwrap().as_bytes(), b"...");
    }

    #[test]
    fn name_of_255_bytes_is_the_longest() {
        let name = |len| [vec![b'n'; len], vec![0]].concat();
        assert_eq!(arguments(&name(255)).name().unwrap().count_bytes(), 255);
        assert_eq!(arguments(&name(256)).name(), Err(Errno::NAMETOOLONG));
        assert_eq!(arguments(&name(40_000)).name(), Err(Errno::NAMETOOLONG));
    }

    #[test]
    fn text_without_end_or_with_something_after_it_is_refused() {
        assert_eq!(arguments(b"name").name(), Err(Errno::INVAL));
        assert_eq!(arguments(b"").name(), Err(Errno::INVAL));
        assert_eq!(arguments(b"name\0more\0").name(), Err(Errno::INVAL));
        assert_eq!(arguments(b"one\0").names(), Err(Errno::INVAL));
    }

    #[test]
    fn value_has_the_length_that_was_said() {
        let (name, value) = arguments(b"user.x\0a\0b").text_and_bytes(3, 100).unwrap();
        assert_eq!((name.as_bytes(), &value[..]), (&b"user.x"[..], &b"a\0b"[..]));
        assert_eq!(arguments(b"user.x\0abc").text_and_bytes(2, 100), Err(Errno::INVAL));
        assert_eq!(arguments(b"x\0").text_and_bytes(3, 100), Err(Errno::INVAL));
        assert_eq!(arguments(b"x\0abc").text_and_bytes(3, 2), Err(Errno::TOOBIG));
    }
}
