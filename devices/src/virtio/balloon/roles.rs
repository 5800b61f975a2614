//! Which queue is for what.

use super::config::{F_FREE_PAGE_HINT, F_REPORTING, F_STATS_VQ};

/// What a queue is for (VIRTIO 1.3 §5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Inflate,
    Deflate,
    Stats,
    Hinting,
    Reporting,
}

impl Role {
    /// The role of queue `index` where `features` are negotiated; `lower` tells whether a queue of
    /// that index is in use.
    ///
    /// The specification gives each role a fixed index. Linux numbers only those queues whose
    /// features it negotiated, without gaps. The two differ where a feature is missing, and then
    /// by which queues the driver uses.
    pub(super) fn of(index: u16, features: u64, lower: impl Fn(u16) -> bool) -> Option<Self> {
        let has = |bit: u32| features & (1 << bit) != 0;
        let optional = [
            (F_STATS_VQ, Self::Stats),
            (F_FREE_PAGE_HINT, Self::Hinting),
            (F_REPORTING, Self::Reporting),
        ];
        let fixed = match index {
            0 => return Some(Self::Inflate),
            1 => return Some(Self::Deflate),
            _ => *optional.get(usize::from(index) - 2)?,
        };
        let dense = optional.iter().filter(|(bit, _)| has(*bit)).nth(usize::from(index) - 2);
        let dense = dense.map(|(_, role)| *role);
        let fixed = Some(fixed.1).filter(|_| has(fixed.0));
        // Without gaps, all lower indices are in use.
        let no_gap = (0..index).all(lower);
        if no_gap { dense.or(fixed) } else { fixed.or(dense) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: u64 = 1 << F_STATS_VQ;
    const HINT: u64 = 1 << F_FREE_PAGE_HINT;
    const REPORT: u64 = 1 << F_REPORTING;

    fn roles(features: u64, indices: &[u16]) -> Vec<Option<Role>> {
        indices.iter().map(|i| Role::of(*i, features, |l| indices.contains(&l))).collect()
    }

    #[test]
    fn all_features_give_each_index_its_role() {
        let expected = [Role::Inflate, Role::Deflate, Role::Stats, Role::Hinting, Role::Reporting];
        assert_eq!(roles(STATS | HINT | REPORT, &[0, 1, 2, 3, 4]), expected.map(Some));
    }

    #[test]
    fn driver_that_leaves_no_gaps_is_understood() {
        assert_eq!(roles(REPORT, &[0, 1, 2])[2], Some(Role::Reporting));
        assert_eq!(roles(STATS | REPORT, &[0, 1, 2, 3])[3], Some(Role::Reporting));
        let hint_and_report = roles(HINT | REPORT, &[0, 1, 2, 3]);
        assert_eq!(hint_and_report[2..], [Some(Role::Hinting), Some(Role::Reporting)]);
    }

    #[test]
    fn driver_with_fixed_indices_is_understood() {
        assert_eq!(roles(REPORT, &[0, 1, 4])[2], Some(Role::Reporting));
        assert_eq!(roles(STATS | REPORT, &[0, 1, 2, 4])[3], Some(Role::Reporting));
        let hint_and_report = roles(HINT | REPORT, &[0, 1, 3, 4]);
        assert_eq!(hint_and_report[2..], [Some(Role::Hinting), Some(Role::Reporting)]);
    }

    #[test]
    fn queue_without_a_feature_has_no_role() {
        assert_eq!(roles(0, &[0, 1, 2])[2], None);
        assert_eq!(roles(STATS | HINT | REPORT, &[5])[0], None);
    }
}
