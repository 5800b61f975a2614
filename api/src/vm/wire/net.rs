//! `/network-interfaces/{iface_id}` and `/entropy`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

use super::RateLimiter;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NetworkInterface {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub iface_id: String,
    /// Name of the host's tap interface.
    pub host_dev_name: String,
    /// The guest's address.
    #[cfg_attr(test, schema(value_type = Option<String>, pattern = "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$"))]
    pub guest_mac: Option<vm_spec::MacAddr>,
    /// MTU that the guest is told.
    #[cfg_attr(test, schema(minimum = 68, maximum = 65535))]
    pub mtu: Option<u16>,
    /// Limits on what the guest receives.
    pub rx_rate_limiter: Option<RateLimiter>,
    /// Limits on what the guest sends.
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// A change to a network interface of a running machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PartialNetworkInterface {
    /// Its id, as in the path.
    #[cfg_attr(test, schema(pattern = "^[A-Za-z0-9_]{1,64}$"))]
    pub iface_id: String,
    /// New limits on what the guest receives.
    pub rx_rate_limiter: Option<RateLimiter>,
    /// New limits on what the guest sends.
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// The cable of a network interface of a running machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NetworkLink {
    /// Whether it is plugged in. While it is not, frames are lost and the guest sees no carrier.
    pub up: bool,
}

/// A source of random numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct EntropyDevice {
    /// Limits on what the guest draws.
    pub rate_limiter: Option<RateLimiter>,
}

only_objects!(NetworkInterface, PartialNetworkInterface, NetworkLink, EntropyDevice);
