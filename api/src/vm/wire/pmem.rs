//! `/pmem/{id}`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

use super::RateLimiter;

/// A file as persistent memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Pmem {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub id: String,
    /// Host path of the file.
    pub path_on_host: String,
    /// Whether the guest mounts it as `/`.
    #[serde(default)]
    pub root_device: bool,
    /// Whether the guest cannot write to it.
    #[serde(default)]
    pub read_only: bool,
    /// Limits on flushes.
    pub rate_limiter: Option<RateLimiter>,
}

/// A change to persistent memory of a running machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PartialPmem {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub id: String,
    /// New limits on flushes.
    pub rate_limiter: Option<RateLimiter>,
}

only_objects!(Pmem, PartialPmem);
