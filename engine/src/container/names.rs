//! Names of containers: the rules for those that users give, and made-up ones.

use std::fs::File;
use std::io::Read;

use super::ContainerError;

const MOODS: [&str; 40] = [
    "agile", "amber", "brave", "breezy", "bright", "calm", "candid", "clever", "cosy", "crisp",
    "curious", "daring", "deft", "eager", "fair", "fond", "frosty", "gentle", "glad", "golden",
    "hardy", "honest", "jolly", "keen", "kind", "lively", "lucid", "mellow", "merry", "mild",
    "nimble", "patient", "proud", "quiet", "rapid", "sunny", "swift", "tidy", "warm", "witty",
];

const SAILORS: [&str; 40] = [
    "amundsen",
    "baret",
    "bering",
    "bougainville",
    "cabot",
    "cartier",
    "chichester",
    "columbus",
    "cook",
    "dampier",
    "davis",
    "drake",
    "elcano",
    "erikson",
    "flinders",
    "francis",
    "franklin",
    "frobisher",
    "gama",
    "harrison",
    "heyerdahl",
    "hudson",
    "knox",
    "kupe",
    "magellan",
    "nansen",
    "nelson",
    "piccard",
    "perouse",
    "polo",
    "ross",
    "roggeveen",
    "shackleton",
    "slocum",
    "tabarly",
    "tasman",
    "torres",
    "vancouver",
    "vespucci",
    "zheng",
];

/// Random bytes of the kernel.
pub fn random<const N: usize>() -> Result<[u8; N], ContainerError> {
    let mut bytes = [0; N];
    let mut source =
        File::open("/dev/urandom").map_err(ContainerError::io("Failed to open /dev/urandom"))?;
    source.read_exact(&mut bytes).map_err(ContainerError::io("Failed to read /dev/urandom"))?;
    Ok(bytes)
}

/// A new id: 64 hexadecimal digits, of which people see the first twelve.
///
/// The first twelve are never all decimal: a host name must not look like a number.
pub fn new_id() -> Result<String, ContainerError> {
    loop {
        let id: String = random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        if id.chars().take(12).any(|c| c.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

/// The part of an id that people see.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A name such as `brave_tasman`. From the fourth attempt on a digit follows, as many names may
/// be taken by then.
pub fn made_up(attempt: u32) -> Result<String, ContainerError> {
    let [mood, sailor, digit] = random::<3>()?;
    let pick = |words: &[&'static str; 40], byte: u8| {
        words.get(usize::from(byte) % words.len()).copied().unwrap_or_default()
    };
    let digit = if attempt > 3 { format!("{}", digit % 10) } else { String::new() };
    Ok(format!("{}_{}{digit}", pick(&MOODS, mood), pick(&SAILORS, sailor)))
}

/// Takes a leading slash off and checks the rest: a letter or digit first, at least two
/// characters, then also `_`, `.` and `-`.
pub fn checked(name: &str) -> Result<String, ContainerError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let begins_well = bare.starts_with(|c: char| c.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if begins_well && (2..=255).contains(&bare.len()) && bare.chars().all(fits) {
        Ok(bare.to_owned())
    } else {
        Err(ContainerError::InvalidName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_slash_is_no_part_of_a_name() {
        assert_eq!(checked("/web-1").unwrap(), "web-1");
    }

    #[test]
    fn names_that_docker_refuses_are_refused() {
        for name in ["", "/", "a", "-web", ".web", "we b", "web/1", "wéb", &"x".repeat(256)] {
            assert!(checked(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn made_up_names_keep_the_rules() {
        for attempt in 0..8 {
            checked(&made_up(attempt).unwrap()).unwrap();
        }
    }

    #[test]
    fn ids_have_64_digits_and_differ() {
        let (one, two) = (new_id().unwrap(), new_id().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
        assert_eq!(short_id(&one).len(), 12);
    }
}
