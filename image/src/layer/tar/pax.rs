//! Extended headers (POSIX pax): records of a key and a value that precede a file.

use std::collections::BTreeMap;

use super::super::ImportError;
use super::sparse::PaxSparse;

const BAD_RECORD: ImportError = ImportError::Damaged("an extended header is malformed");

/// What extended headers say of the file after them.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    /// Seconds and nanoseconds.
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: PaxSparse,
}

impl Extended {
    /// Adds the records of a header's `body`.
    pub(super) fn read(&mut self, mut body: &[u8]) -> Result<(), ImportError> {
        while !body.is_empty() {
            let (key, value, rest) = record(body).ok_or(BAD_RECORD)?;
            self.set(key, value).ok_or(BAD_RECORD)?;
            body = rest;
        }
        Ok(())
    }

    /// Takes a record over. A key that is not of interest is left out.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.insert(name.to_vec(), value.to_vec());
            return Some(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.set(key, value);
        }
        match key {
            b"path" => self.path = path(value)?,
            b"linkpath" => self.link = path(value)?,
            // An empty value takes back what was said before.
            b"size" => self.size = some(value, decimal)?,
            b"uid" => self.uid = some(value, decimal)?,
            b"gid" => self.gid = some(value, decimal)?,
            b"mtime" => self.mtime = some(value, time)?,
            _ => {}
        }
        Some(())
    }
}

/// The first record of `body`, `LENGTH KEY=VALUE\n`, and what follows it.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let digits = body.iter().position(|byte| *byte == b' ')?;
    let (length, _) = body.split_at(digits);
    let length: usize = decimal(length)?;
    let (record, rest) = body.split_at_checked(length)?;
    let record = record.get(digits + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = record.split_at(equals);
    (!key.is_empty()).then_some((key, value.get(1..)?, rest))
}

/// A decimal number.
pub(super) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let begins_with_digit = text.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    begins_with_digit.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

fn path(value: &[u8]) -> Option<Option<Vec<u8>>> {
    if value.contains(&0) {
        return None;
    }
    Some((!value.is_empty()).then(|| value.to_vec()))
}

fn some<T>(value: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() { Some(None) } else { parse(value).map(Some) }
}

/// Seconds with a fraction, of which nanoseconds are kept, rounded towards the past.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &b""[..]),
    };
    let seconds: i64 = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at| fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    let nanos = (0..9).fold(0, |value, at| value * 10 + digit(at));
    let lost = fraction.iter().skip(9).any(|digit| *digit != b'0');
    if !text.starts_with(b"-") {
        return Some((seconds, nanos));
    }
    match nanos + u32::from(lost) {
        0 => Some((seconds, 0)),
        1_000_000_000 => Some((seconds.checked_sub(1)?, 0)),
        back => Some((seconds.checked_sub(1)?, 1_000_000_000 - back)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Option<Extended> {
        let mut extended = Extended::default();
        extended.read(body).ok().map(|()| extended)
    }

    #[test]
    fn records_are_read_by_their_lengths() {
        let extended = read(b"12 path=a b\n26 SCHILY.xattr.user.x=\0\n\n9 size=8\n").unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a b"[..]));
        assert_eq!(extended.size, Some(8));
        assert_eq!(extended.xattrs[&b"user.x"[..]], b"\0\n");
    }

    #[test]
    fn malformed_records_are_refused() {
        for body in [
            &b"11 path=a b\n"[..],
            b"99 path=a\n",
            b"9 path=a\n1",
            b"10 size=-1\n",
            b"10 size=x1\n",
            b"10 path=a\0\n",
            b"7 path\n",
            b"5 =a\n",
            b"-5 a=b\n",
        ] {
            assert!(read(body).is_none(), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn times_have_nanoseconds_and_may_be_before_1970() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"12.0000000019"), Some((12, 1)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-0.5"), Some((-1, 500_000_000)));
        assert_eq!(time(b"-2"), Some((-2, 0)));
        assert_eq!((time(b"1.x"), time(b".5"), time(b"1e5")), (None, None, None));
    }
}
