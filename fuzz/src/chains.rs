//! Descriptor chains as a hostile driver makes them.

use devices::virtio::fake_driver::{DATA, FakeDriver, Part, RAM_SIZE};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// Chains that are made available together, and parts of each: a queue of [`QUEUE_SIZE`] has room.
const MAX_CHAINS: usize = 8;
const MAX_PARTS: usize = 16;
/// Descriptors of the queues in the targets.
pub const QUEUE_SIZE: u16 = 128;
/// Where indirect tables lie: below what [`Place`] reaches, so that devices write to none of them.
const TABLES: u64 = DATA - 0x1_0000;

/// An address in guest memory or out of it, never among the rings.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Place {
    /// Somewhere in the first pages of free memory.
    Near(u16),
    /// Around the end of memory.
    Edge(i8),
    /// Anywhere above the rings.
    Any(u64),
}

impl Place {
    /// The address.
    pub fn address(self) -> u64 {
        match self {
            Self::Near(offset) => DATA + u64::from(offset),
            Self::Edge(offset) => (RAM_SIZE as u64).wrapping_add_signed(i64::from(offset)),
            Self::Any(address) => address.max(DATA),
        }
    }
}

/// A length in bytes.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Length {
    /// A few bytes.
    Small(u8),
    /// So many sectors.
    Sectors(u8),
    /// Anything.
    Any(u32),
}

impl Length {
    /// The bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Small(bytes) => u32::from(bytes),
            Self::Sectors(sectors) => 512 * u32::from(sectors),
            Self::Any(bytes) => bytes,
        }
    }
}

/// One descriptor.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Piece {
    write: bool,
    place: Place,
    length: Length,
}

impl Piece {
    fn part(self) -> Part {
        let (address, length) = (self.place.address(), self.length.bytes());
        if self.write { Part::Write(address, length) } else { Part::Read(address, length) }
    }
}

/// A chain whose descriptors may be in any order and place.
#[derive(Debug, Clone, Arbitrary)]
pub struct AnyChain {
    indirect: bool,
    pieces: Vec<Piece>,
}

impl AnyChain {
    /// Its descriptors, behind `first` ones.
    fn parts(&self, first: &[Part]) -> Vec<Part> {
        let rest = self.pieces.iter().map(|piece| piece.part());
        let mut parts: Vec<Part> = first.iter().copied().chain(rest).take(MAX_PARTS).collect();
        if parts.is_empty() {
            parts.push(Part::Read(DATA, 0));
        }
        parts
    }

    /// Makes it available behind `first` descriptors; returns its head. `number` is its place
    /// among those that are available together.
    pub fn add(&self, driver: &mut FakeDriver, number: usize, first: &[Part]) -> u16 {
        let parts = self.parts(first);
        if self.indirect {
            let tables = TABLES + 0x1000 * u64::from(number as u8 % MAX_CHAINS as u8);
            driver.add_indirect(tables, &parts)
        } else {
            driver.add(&parts)
        }
    }
}

/// Chains that become available together.
pub fn batch<T>(chains: &[T]) -> &[T] {
    chains.get(..MAX_CHAINS).unwrap_or(chains)
}

/// Rings the doorbell of `driver`.
pub fn kick(driver: &FakeDriver) {
    driver.kick.write(1).expect("an eventfd takes a kick");
}

/// Checks that the device gave back exactly the chains of `heads`, in whatever order.
pub fn assert_returned(driver: &mut FakeDriver, heads: &[u16]) {
    let mut used: Vec<u16> = driver.used().into_iter().map(|(head, _)| head).collect();
    let mut heads = heads.to_vec();
    used.sort_unstable();
    heads.sort_unstable();
    assert_eq!(used, heads, "chains given back and chains made available differ");
}
