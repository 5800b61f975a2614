//! Limits on what a device may do in a span of time.

use serde::{Deserialize, Serialize};

/// Limits of one stream of requests. A limit that is not given does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimiter {
    /// Tokens are bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucket>,
    /// Tokens are requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops: Option<TokenBucket>,
}

impl RateLimiter {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        let off = |bucket: Option<TokenBucket>| bucket.is_none_or(|b| b.is_unlimited());
        off(self.bandwidth) && off(self.ops)
    }
}

/// A token bucket: full at first, refilled at `size / refill_time_ms` tokens per millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBucket {
    /// Tokens that the bucket holds.
    pub size: u64,
    /// Milliseconds in which an empty bucket becomes full.
    pub refill_time_ms: u64,
    /// Tokens beyond `size` that can be spent once, before any of `size` are. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time_burst: Option<u64>,
}

impl TokenBucket {
    /// Whether the bucket limits nothing: no size, or no time to refill.
    pub fn is_unlimited(&self) -> bool {
        self.size == 0 || self.refill_time_ms == 0
    }
}
