//! The keys that leave a container running: Ctrl-P Ctrl-Q, as Docker has them.

use std::fmt;
use std::str::FromStr;

/// A sequence of keys, in Docker's words: `ctrl-p,ctrl-q`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

/// The text is no sequence of keys.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no key: a letter, DEL, or ctrl- and one of a-z, @, [, \\, ], ^, _")]
pub struct NotAKey(String);

impl FromStr for DetachKeys {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for DetachKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match byte {
                0 => write!(f, "{comma}ctrl-@")?,
                1..=26 => write!(f, "{comma}ctrl-{}", char::from(byte - 1 + b'a'))?,
                27..=31 => write!(f, "{comma}ctrl-{}", char::from(byte + b'@'))?,
                0x7f => write!(f, "{comma}DEL")?,
                _ => write!(f, "{comma}{}", char::from(*byte))?,
            }
        }
        Ok(())
    }
}

fn key(text: &str) -> Result<u8, NotAKey> {
    let wrong = || NotAKey(text.to_owned());
    if text == "DEL" {
        return Ok(0x7f);
    }
    let (control, name) = match text.strip_prefix("ctrl-") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let &[byte] = name.as_bytes() else { return Err(wrong()) };
    match (control, byte) {
        (true, b'a'..=b'z') => Ok(byte - b'a' + 1),
        (true, b'@') => Ok(0),
        (true, b'[' | b'\\' | b']' | b'^' | b'_') => Ok(byte - b'@'),
        (false, 0x20..=0x7e) => Ok(byte),
        _ => Err(wrong()),
    }
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub struct Watcher {
    keys: Vec<u8>,
    seen: usize,
}

impl Watcher {
    /// Looks for these.
    #[must_use]
    pub fn new(keys: &DetachKeys) -> Self {
        Self { keys: keys.0.clone(), seen: 0 }
    }

    /// Takes what was typed: the bytes for the container, and whether the keys were among it.
    /// Bytes that may be the beginning of the sequence wait for what follows.
    pub fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut bytes = Vec::with_capacity(typed.len() + self.seen);
        for byte in typed {
            loop {
                if self.keys.get(self.seen) == Some(byte) {
                    self.seen += 1;
                    break;
                }
                if self.seen == 0 {
                    bytes.push(*byte);
                    break;
                }
                self.give_up_first(&mut bytes);
            }
            if !self.keys.is_empty() && self.seen == self.keys.len() {
                return (bytes, true);
            }
        }
        (bytes, false)
    }

    /// The first of the waiting bytes does not begin the sequence; a later one may.
    fn give_up_first(&mut self, bytes: &mut Vec<u8>) {
        let waiting: Vec<u8> = self.keys.iter().take(self.seen).copied().collect();
        let rest = (1..=waiting.len())
            .find(|start| waiting.get(*start..).is_some_and(|tail| self.keys.starts_with(tail)));
        let start = rest.unwrap_or(waiting.len());
        bytes.extend(waiting.iter().take(start));
        self.seen = waiting.len() - start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(keys: &str) -> Watcher {
        Watcher::new(&keys.parse().unwrap())
    }

    #[test]
    fn default_keys_are_those_of_docker() {
        assert_eq!(DetachKeys::default(), "ctrl-p,ctrl-q".parse().unwrap());
        assert_eq!(watcher("DEL").feed(b"a\x7f"), (b"a".to_vec(), true));
    }

    #[test]
    fn keys_are_found_across_reads_and_not_passed_on() {
        let mut watcher = Watcher::new(&DetachKeys::default());
        assert_eq!(watcher.feed(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(watcher.feed(b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn half_a_sequence_reaches_the_container_with_what_follows() {
        let mut watcher = Watcher::new(&DetachKeys::default());
        assert_eq!(watcher.feed(b"\x10"), (Vec::new(), false));
        assert_eq!(watcher.feed(b"x"), (b"\x10x".to_vec(), false));
    }

    #[test]
    fn sequence_that_begins_within_itself_is_found() {
        assert_eq!(watcher("a,a,b").feed(b"aaab"), (b"a".to_vec(), true));
    }

    #[test]
    fn keys_are_told_in_the_words_that_they_are_read_from() {
        for text in ["ctrl-p,ctrl-q", "ctrl-@,ctrl-[,ctrl-_,DEL", "a,~"] {
            assert_eq!(text.parse::<DetachKeys>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!("ctrl-1".parse::<DetachKeys>().is_err());
        assert!("ctrl-p,".parse::<DetachKeys>().is_err());
    }
}
