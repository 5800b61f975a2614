//! Paths of an archive, as names below a layer's root.

use super::error::{EntryError, shown};
use crate::erofs::MAX_NAME;

/// The names of `path`: without empty ones and `.`, and with `..` taken back. Absolute paths begin
/// at the layer's root as relative ones do.
pub(super) fn names(path: &[u8], depth: usize) -> Result<Vec<&[u8]>, EntryError> {
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop().ok_or_else(|| EntryError::Escape(shown(path)))?;
            }
            name if name.len() > MAX_NAME => return Err(EntryError::NameTooLong),
            name if names.len() < depth => names.push(name),
            _ => return Err(EntryError::TooDeep(depth)),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(path: &str) -> Result<String, EntryError> {
        Ok(String::from_utf8(names(path.as_bytes(), 3)?.join(&b'/')).unwrap())
    }

    #[test]
    fn paths_begin_at_the_root_and_are_as_short_as_can_be() {
        assert_eq!(joined("./a//b/").unwrap(), "a/b");
        assert_eq!(joined("/etc/passwd").unwrap(), "etc/passwd");
        assert_eq!(joined("a/b/../c").unwrap(), "a/c");
        assert_eq!(joined("./").unwrap(), "");
    }

    #[test]
    fn paths_that_leave_the_root_are_refused() {
        for path in ["../x", "a/../../x", "/..", "a/b/../../.."] {
            assert_eq!(joined(path).unwrap_err(), EntryError::Escape(path.to_owned()));
        }
    }

    #[test]
    fn long_names_and_long_paths_are_refused() {
        assert!(joined(&"n".repeat(255)).is_ok());
        assert_eq!(joined(&"n".repeat(256)).unwrap_err(), EntryError::NameTooLong);
        assert!(joined("a/b/c").is_ok());
        assert_eq!(joined("a/b/c/d").unwrap_err(), EntryError::TooDeep(3));
    }
}
