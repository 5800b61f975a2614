//! Session tokens.
//!
//! A token says when it ends and carries a MAC (HMAC-SHA-256, RFC 2104) over that, so that none
//! need be remembered and a guest can ask for as many as it likes. As text it is hexadecimal:
//!
//! ```text
//! | 8 bytes: random | 8 bytes: end, ms after the authority began | 16 bytes: MAC |
//! ```

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::Sha256;
use thiserror::Error;

const NONCE_LEN: usize = 8;
const END_LEN: usize = 8;
const TAG_LEN: usize = 16;
const TOKEN_LEN: usize = NONCE_LEN + END_LEN + TAG_LEN;

/// The shortest life of a token in seconds.
pub const MIN_TTL_SECONDS: u32 = 1;
/// The longest life of a token in seconds: six hours.
pub const MAX_TTL_SECONDS: u32 = 21600;

/// Makes tokens and tells its own from others. Another machine's, or those from before a restart,
/// are worth nothing.
pub struct TokenAuthority {
    key: [u8; 64],
    machine: String,
    began: Instant,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Its life would be too short or too long.
    #[error(
        "Invalid time to live value provided for token: {0}. Please provide a value between \
         {MIN_TTL_SECONDS} and {MAX_TTL_SECONDS}."
    )]
    Ttl(u32),
    /// The host gave no random bytes.
    #[error("Failed to generate a key")]
    Random,
}

impl TokenAuthority {
    /// An authority with this secret key, for the machine of this id.
    pub fn new(key: [u8; 64], machine: &str) -> Self {
        Self { key, machine: machine.to_owned(), began: Instant::now() }
    }

    /// An authority with a random key.
    ///
    /// # Errors
    ///
    /// [`TokenError::Random`]
    pub fn random(machine: &str) -> Result<Self, TokenError> {
        Ok(Self::new(random_bytes()?, machine))
    }

    /// A token that is valid for `ttl_seconds` from `now`.
    ///
    /// # Errors
    ///
    /// [`TokenError::Ttl`] unless it is 1 to 21600.
    pub fn generate(&self, ttl_seconds: u32, now: Instant) -> Result<String, TokenError> {
        if !(MIN_TTL_SECONDS..=MAX_TTL_SECONDS).contains(&ttl_seconds) {
            return Err(TokenError::Ttl(ttl_seconds));
        }
        let nonce: [u8; NONCE_LEN] = random_bytes()?;
        let end = self.milliseconds(now + Duration::from_secs(u64::from(ttl_seconds)));
        let end = end.to_le_bytes();
        let tag = self.mac(&nonce, &end).finalize().into_bytes();
        let mut text = String::with_capacity(2 * TOKEN_LEN);
        for byte in nonce.iter().chain(&end).chain(&tag[..TAG_LEN]) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }

    /// Whether a token is this authority's own and has not ended.
    pub fn is_valid(&self, token: &str, now: Instant) -> bool {
        let Some(token) = decode(token) else { return false };
        let Some((nonce, rest)) = token.split_first_chunk::<NONCE_LEN>() else { return false };
        let Some((end, tag)) = rest.split_first_chunk::<END_LEN>() else { return false };
        // Takes as long for a wrong tag as for a right one.
        self.mac(nonce, end).verify_truncated_left(tag).is_ok()
            && self.milliseconds(now) < u64::from_le_bytes(*end)
    }

    fn mac(&self, nonce: &[u8], end: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(nonce);
        mac.update(end);
        mac.update(self.machine.as_bytes());
        mac
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for TokenAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of logs.
        f.debug_struct("TokenAuthority").field("machine", &self.machine).finish_non_exhaustive()
    }
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    // Up to 256 bytes come at once or not at all, see getrandom(2).
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(n) if n == N => Ok(bytes),
        _ => Err(TokenError::Random),
    }
}

fn decode(text: &str) -> Option<[u8; TOKEN_LEN]> {
    let text = text.as_bytes();
    if text.len() != 2 * TOKEN_LEN {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut token = [0; TOKEN_LEN];
    for (byte, pair) in token.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(machine: &str) -> TokenAuthority {
        TokenAuthority::new([7; 64], machine)
    }

    #[test]
    fn token_is_valid_until_it_ends() {
        let authority = authority("vm");
        let now = Instant::now();
        let token = authority.generate(60, now).unwrap();
        assert!(authority.is_valid(&token, now));
        assert!(authority.is_valid(&token, now + Duration::from_millis(59_990)));
        assert!(!authority.is_valid(&token, now + Duration::from_millis(60_010)));
    }

    #[test]
    fn tokens_differ() {
        let authority = authority("vm");
        let now = Instant::now();
        assert_ne!(authority.generate(60, now).unwrap(), authority.generate(60, now).unwrap());
    }

    #[test]
    fn life_of_no_second_or_more_than_six_hours_is_refused() {
        let authority = authority("vm");
        let now = Instant::now();
        assert_eq!(authority.generate(0, now), Err(TokenError::Ttl(0)));
        assert_eq!(authority.generate(21601, now), Err(TokenError::Ttl(21601)));
        assert!(authority.generate(21600, now).is_ok());
    }

    #[test]
    fn token_of_another_machine_or_key_is_worth_nothing() {
        let now = Instant::now();
        let token = authority("vm").generate(60, now).unwrap();
        assert!(!authority("other").is_valid(&token, now));
        assert!(!TokenAuthority::random("vm").unwrap().is_valid(&token, now));
    }

    #[test]
    fn token_with_any_digit_changed_is_worth_nothing() {
        let authority = authority("vm");
        let now = Instant::now();
        let token = authority.generate(60, now).unwrap();
        for at in 0..token.len() {
            let digit = if &token[at..=at] == "0" { "1" } else { "0" };
            let mut forged = token.clone();
            forged.replace_range(at..=at, digit);
            assert!(!authority.is_valid(&forged, now), "digit {at}");
        }
    }

    #[test]
    fn text_that_is_no_token_is_worth_nothing() {
        let now = Instant::now();
        assert!(!authority("vm").is_valid("", now));
        assert!(!authority("vm").is_valid(&"0".repeat(64), now));
        assert!(!authority("vm").is_valid(&"é".repeat(32), now));
        assert!(!authority("vm").is_valid(&"0".repeat(1 << 20), now));
    }
}
