//! Bits to set, to clear, and to leave.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which bits of a register become 1, become 0, or stay. `T` is `u32` or `u64` and gives the width.
///
/// Written as one of `0`, `1`, `x` (stay) for each bit, highest first, usually after `0b`; `_` may
/// stand between them; bits that are not written stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[serde(bound = "T: RegisterWidth")]
pub struct BitPattern<T> {
    mask: u64,
    value: u64,
    width: PhantomData<T>,
}

/// The width of a register.
pub trait RegisterWidth: Copy + Into<u64> {
    /// In bits.
    const BITS: u32;
    /// The low bits of `wide`.
    fn truncate(wide: u64) -> Self;
}

impl RegisterWidth for u32 {
    const BITS: u32 = 32;
    fn truncate(wide: u64) -> Self {
        // The mask leaves no bit that the cast could lose.
        (wide & u64::from(u32::MAX)) as Self
    }
}

impl RegisterWidth for u64 {
    const BITS: u32 = 64;
    fn truncate(wide: u64) -> Self {
        wide
    }
}

/// Why a text is no bit pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BitPatternError {
    /// It has a character other than `0`, `1`, `x` and `_`.
    #[error("bit pattern has the character {0:?}, only '0', '1', 'x' and '_' can be")]
    Character(char),
    /// It has no bit.
    #[error("bit pattern has no bit")]
    Empty,
    /// It has more bits than the register.
    #[error("bit pattern has more than {0} bits")]
    TooLong(u32),
}

impl<T: RegisterWidth> BitPattern<T> {
    /// The pattern that sets the bits of `mask` to those of `value` and leaves the others.
    pub fn new(mask: T, value: T) -> Self {
        let (mask, value) = (mask.into(), value.into());
        Self { mask, value: value & mask, width: PhantomData }
    }

    /// Bits that do not stay.
    pub fn mask(&self) -> T {
        T::truncate(self.mask)
    }

    /// What the bits of the mask become.
    pub fn value(&self) -> T {
        T::truncate(self.value)
    }

    /// `register` with the pattern applied.
    pub fn apply(&self, register: T) -> T {
        T::truncate((register.into() & !self.mask) | self.value)
    }
}

impl<T: RegisterWidth> FromStr for BitPattern<T> {
    type Err = BitPatternError;

    fn from_str(text: &str) -> Result<Self, BitPatternError> {
        let bits = text.strip_prefix("0b").unwrap_or(text);
        let (mut mask, mut value, mut count) = (0u64, 0u64, 0u32);
        for bit in bits.chars().filter(|c| *c != '_') {
            let (in_mask, in_value) = match bit {
                '0' => (1, 0),
                '1' => (1, 1),
                'x' => (0, 0),
                other => return Err(BitPatternError::Character(other)),
            };
            count += 1;
            if count > T::BITS {
                return Err(BitPatternError::TooLong(T::BITS));
            }
            mask = mask << 1 | in_mask;
            value = value << 1 | in_value;
        }
        if count == 0 {
            return Err(BitPatternError::Empty);
        }
        Ok(Self { mask, value, width: PhantomData })
    }
}

impl<T: RegisterWidth> TryFrom<String> for BitPattern<T> {
    type Error = BitPatternError;

    fn try_from(text: String) -> Result<Self, BitPatternError> {
        text.parse()
    }
}

impl<T: RegisterWidth> From<BitPattern<T>> for String {
    fn from(pattern: BitPattern<T>) -> Self {
        pattern.to_string()
    }
}

impl<T: RegisterWidth> fmt::Display for BitPattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0b")?;
        for bit in (0..T::BITS).rev() {
            f.write_str(match (self.mask >> bit & 1, self.value >> bit & 1) {
                (0, _) => "x",
                (_, 0) => "0",
                _ => "1",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_sets_clears_and_leaves() {
        let pattern: BitPattern<u32> = "0b10x".parse().unwrap();
        assert_eq!(pattern.mask(), 0b110);
        assert_eq!(pattern.apply(0b1_0011), 0b1_0101);
    }

    #[test]
    fn pattern_is_written_with_all_its_bits() {
        let pattern = BitPattern::<u32>::new(0b11, 0b01);
        assert_eq!(pattern.to_string(), format!("0b{}01", "x".repeat(30)));
    }

    #[test]
    fn pattern_of_33_bits_is_refused_for_32() {
        let text = format!("0b{}", "x".repeat(33));
        assert_eq!(text.parse::<BitPattern<u32>>(), Err(BitPatternError::TooLong(32)));
        assert!(text.parse::<BitPattern<u64>>().is_ok());
    }

    #[test]
    fn pattern_of_64_ones_sets_all() {
        let pattern: BitPattern<u64> = format!("0b{}", "1".repeat(64)).parse().unwrap();
        assert_eq!(pattern.apply(0), u64::MAX);
    }

    #[test]
    fn pattern_with_another_digit_or_without_a_bit_is_refused() {
        assert_eq!("0b12".parse::<BitPattern<u32>>(), Err(BitPatternError::Character('2')));
        assert_eq!("0b_".parse::<BitPattern<u32>>(), Err(BitPatternError::Empty));
    }

    #[test]
    fn prefix_may_be_left_out() {
        assert_eq!("x10".parse::<BitPattern<u32>>(), "0bx10".parse());
    }
}
