//! `/mmds/config`.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use vm_spec::MmdsVersion;

use super::object::only_objects;

/// The metadata service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MmdsConfig {
    /// Whether requests need a session token (`V2`) or not (`V1`).
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = super::mmds::MmdsVersionSchema, default = "V1"))]
    pub version: MmdsVersion,
    /// Ids of the network interfaces that answer for it.
    pub network_interfaces: Vec<String>,
    /// Its link-local address; 169.254.169.254 if not given.
    #[cfg_attr(test, schema(value_type = Option<String>, format = "ipv4"))]
    pub ipv4_address: Option<Ipv4Addr>,
    /// Whether answers are always plain text, as EC2's service gives them.
    #[serde(default)]
    pub imds_compat: bool,
}

/// Stands in the OpenAPI document for the version, whose type is another crate's.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[schema(as = MmdsVersion)]
#[allow(dead_code)]
pub(crate) enum MmdsVersionSchema {
    /// Plain requests.
    V1,
    /// Requests carry a session token.
    V2,
}

only_objects!(MmdsConfig);
