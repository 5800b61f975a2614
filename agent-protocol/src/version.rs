//! Which protocol version two peers use.

use crate::message::Versions;

/// The protocol version that this crate writes. The second brought [`crate::message::Output`].
pub const VERSION: u32 = 2;

/// The oldest protocol version that this crate still reads.
pub const OLDEST: u32 = 1;

/// The versions this crate speaks, as they are announced to a peer.
pub const OURS: Versions = Versions { oldest: OLDEST, newest: VERSION };

/// Two peers have no protocol version in common.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common protocol version: the peer speaks {} to {}, we speak {OLDEST} to {VERSION}",
    peer.oldest,
    peer.newest
)]
pub struct NoCommonVersion {
    /// What the peer announced.
    pub peer: Versions,
}

/// Picks the newest version that `peer` and this crate both speak.
pub fn agree(peer: Versions) -> Result<u32, NoCommonVersion> {
    let newest = peer.newest.min(VERSION);
    if newest >= peer.oldest.max(OLDEST) { Ok(newest) } else { Err(NoCommonVersion { peer }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_peer_that_still_reads_ours_gets_ours() {
        assert_eq!(agree(Versions { oldest: 1, newest: 9 }), Ok(VERSION));
    }

    #[test]
    fn a_peer_that_dropped_our_version_is_refused() {
        let peer = Versions { oldest: VERSION + 1, newest: VERSION + 3 };
        assert_eq!(agree(peer), Err(NoCommonVersion { peer }));
    }

    #[test]
    fn a_peer_that_announces_nothing_is_refused() {
        let peer = Versions::default();
        assert_eq!(agree(peer), Err(NoCommonVersion { peer }));
    }
}
