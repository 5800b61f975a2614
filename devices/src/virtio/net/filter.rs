//! Which received frames the driver wants (VIRTIO 1.3, 5.1.6.5.1 and 5.1.6.5.2).

/// An Ethernet address.
pub type MacAddress = [u8; 6];

const BROADCAST: MacAddress = [0xff; 6];
/// Addresses kept for each kind; with more, all of the kind pass.
pub(super) const TABLE_SIZE: usize = 64;

/// A receive filter. It is a service to the guest, not a protection: everything passes until the
/// driver says what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RxFilter {
    /// The card's own address; `None`: the driver chose one and did not tell.
    pub address: Option<MacAddress>,
    /// All frames pass.
    pub promiscuous: bool,
    /// All multicast frames pass.
    pub all_multicast: bool,
    /// All unicast frames pass.
    pub all_unicast: bool,
    /// No multicast frame passes.
    pub no_multicast: bool,
    /// No unicast frame passes.
    pub no_unicast: bool,
    /// No broadcast frame passes.
    pub no_broadcast: bool,
    /// Further unicast addresses; `None`: there are too many, so all pass.
    pub unicast: Option<Vec<MacAddress>>,
    /// Multicast addresses; `None`: there are too many, so all pass.
    pub multicast: Option<Vec<MacAddress>>,
}

impl RxFilter {
    /// A filter as after a reset: everything passes.
    pub fn open(address: Option<MacAddress>) -> Self {
        Self {
            address,
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Some(Vec::new()),
            multicast: Some(Vec::new()),
        }
    }

    /// Whether a frame to `destination` is wanted.
    pub fn passes(&self, destination: MacAddress) -> bool {
        if self.promiscuous {
            return true;
        }
        let listed = |table: &Option<Vec<MacAddress>>| {
            table.as_ref().is_none_or(|t| t.contains(&destination))
        };
        let [first, ..] = destination;
        if destination == BROADCAST {
            !self.no_broadcast
        } else if first & 1 != 0 {
            !self.no_multicast && (self.all_multicast || listed(&self.multicast))
        } else {
            let own = self.address.is_none_or(|a| a == destination);
            !self.no_unicast && (self.all_unicast || own || listed(&self.unicast))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MacAddress = [2, 0, 0, 0, 0, 1];
    const OTHER: MacAddress = [2, 0, 0, 0, 0, 2];
    const GROUP: MacAddress = [1, 0, 0x5e, 0, 0, 1];

    fn closed() -> RxFilter {
        RxFilter { promiscuous: false, ..RxFilter::open(Some(OWN)) }
    }

    #[test]
    fn own_and_broadcast_pass_a_closed_filter_and_others_do_not() {
        let passed = [OWN, BROADCAST, OTHER, GROUP].map(|to| closed().passes(to));
        assert_eq!(passed, [true, true, false, false]);
    }

    #[test]
    fn listed_addresses_pass() {
        let filter =
            RxFilter { unicast: Some(vec![OTHER]), multicast: Some(vec![GROUP]), ..closed() };
        assert!(filter.passes(OTHER) && filter.passes(GROUP));
    }

    #[test]
    fn overflown_table_lets_its_kind_pass() {
        let filter = RxFilter { multicast: None, ..closed() };
        assert!(filter.passes(GROUP) && !filter.passes(OTHER));
    }

    #[test]
    fn refusals_of_a_kind_win_over_its_table() {
        let filter = RxFilter {
            no_unicast: true,
            no_multicast: true,
            no_broadcast: true,
            all_multicast: true,
            ..closed()
        };
        let passed = [OWN, BROADCAST, GROUP].map(|to| filter.passes(to));
        assert_eq!(passed, [false; 3]);
    }

    #[test]
    fn card_without_a_known_address_takes_all_unicast() {
        let filter = RxFilter { address: None, ..closed() };
        assert!(filter.passes(OTHER));
    }
}
