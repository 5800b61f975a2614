//! Limits of requests and bytes.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Independent limits on bytes and on requests. A limit that is not given does not apply; in an
/// update it stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RateLimiter {
    /// Token bucket with bytes as tokens.
    pub bandwidth: Option<TokenBucket>,
    /// Token bucket with requests as tokens.
    pub ops: Option<TokenBucket>,
}

/// A token bucket. With a size or a refill time of 0 it limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct TokenBucket {
    /// Tokens that it holds.
    pub size: u64,
    /// Tokens beyond its size that can be spent once.
    pub one_time_burst: Option<u64>,
    /// Milliseconds in which it is refilled.
    pub refill_time: u64,
}

impl RateLimiter {
    /// The limiter with every bucket that limits nothing left out, or none if nothing is left.
    pub fn normal(self) -> Option<Self> {
        let real = |bucket: &TokenBucket| bucket.size != 0 && bucket.refill_time != 0;
        let limiter = Self { bandwidth: self.bandwidth.filter(real), ops: self.ops.filter(real) };
        (limiter != Self::default()).then_some(limiter)
    }
}

impl From<TokenBucket> for vm_spec::TokenBucket {
    fn from(bucket: TokenBucket) -> Self {
        Self {
            size: bucket.size,
            refill_time_ms: bucket.refill_time,
            one_time_burst: bucket.one_time_burst,
        }
    }
}

impl From<RateLimiter> for vm_spec::RateLimiter {
    fn from(limiter: RateLimiter) -> Self {
        Self { bandwidth: limiter.bandwidth.map(Into::into), ops: limiter.ops.map(Into::into) }
    }
}

impl From<vm_spec::TokenBucket> for TokenBucket {
    fn from(bucket: vm_spec::TokenBucket) -> Self {
        Self {
            size: bucket.size,
            one_time_burst: bucket.one_time_burst,
            refill_time: bucket.refill_time_ms,
        }
    }
}

impl From<vm_spec::RateLimiter> for RateLimiter {
    fn from(limiter: vm_spec::RateLimiter) -> Self {
        Self { bandwidth: limiter.bandwidth.map(Into::into), ops: limiter.ops.map(Into::into) }
    }
}

only_objects!(RateLimiter, TokenBucket);
