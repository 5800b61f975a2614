//! Names of components.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest id in bytes.
///
/// Ids given over the REST API are shorter; the rest is room for names derived from them, such as
/// `rootfs-file` for the file behind the drive `rootfs`.
const MAX_LEN: usize = 80;

/// The name of a component, unique in its machine.
///
/// 1 to 80 ASCII letters, digits, `_`, `-` and `.`. The REST API admits letters, digits and `_`
/// only, so a name with `-` in it never collides with one given there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComponentId(String);

/// Why a text is no component id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// It has no character.
    #[error("a component id cannot be empty")]
    Empty,
    /// It has more than 80 bytes.
    #[error("component id starting with {start:?} has {length} bytes, at most {MAX_LEN} can be")]
    TooLong {
        /// Its first characters.
        start: String,
        /// Its length in bytes.
        length: usize,
    },
    /// It has a character that is not allowed.
    #[error("component id {id:?} may only contain letters, digits, '_', '-' and '.'")]
    Character {
        /// The id.
        id: String,
    },
}

impl ComponentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ComponentId {
    type Error = IdError;

    fn try_from(id: String) -> Result<Self, IdError> {
        if id.is_empty() {
            return Err(IdError::Empty);
        }
        if id.len() > MAX_LEN {
            return Err(IdError::TooLong {
                start: id.chars().take(16).collect(),
                length: id.len(),
            });
        }
        if !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(IdError::Character { id });
        }
        Ok(Self(id))
    }
}

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(id: &str) -> Result<Self, IdError> {
        Self::try_from(id.to_owned())
    }
}

impl From<ComponentId> for String {
    fn from(id: ComponentId) -> Self {
        id.0
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_three_signs_are_an_id() {
        assert_eq!("eth_0-tap.1".parse::<ComponentId>().unwrap().as_str(), "eth_0-tap.1");
    }

    #[test]
    fn empty_id_is_refused() {
        assert_eq!("".parse::<ComponentId>(), Err(IdError::Empty));
    }

    #[test]
    fn slash_in_id_is_refused() {
        let error = "../x".parse::<ComponentId>().unwrap_err();
        assert_eq!(error, IdError::Character { id: "../x".into() });
    }

    #[test]
    fn id_of_81_bytes_is_refused_and_80_is_not() {
        assert!("a".repeat(80).parse::<ComponentId>().is_ok());
        let error = "a".repeat(81).parse::<ComponentId>().unwrap_err();
        assert_eq!(error, IdError::TooLong { start: "a".repeat(16), length: 81 });
    }
}
