//! How much a layer may ask for.

/// What a layer may have at most, so that a small download cannot fill disk or memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive when it is unpacked.
    pub bytes: u64,
    /// Files of all kinds, with directories that are there only for what is in them.
    pub entries: u64,
    /// Names in a path.
    pub depth: usize,
    /// Unpacked bytes for each packed one, once there are more than a GiB of them.
    pub ratio: u64,
    /// Bytes of names, targets of links, extended attributes and maps of sparse files.
    pub metadata: u64,
}

impl Limits {
    /// Unpacked bytes up to which the ratio does not matter.
    pub(crate) const RATIO_FROM: u64 = 1 << 30;
}

impl Default for Limits {
    /// Far above what images have: 128 GiB, two million files, 512 names in a path, a thousandth.
    fn default() -> Self {
        Self { bytes: 128 << 30, entries: 2 << 20, depth: 512, ratio: 1000, metadata: 512 << 20 }
    }
}
