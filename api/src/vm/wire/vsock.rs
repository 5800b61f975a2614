//! `/vsock`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// Sockets between guest and host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Vsock {
    /// Deprecated, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsock_id: Option<String>,
    /// The guest's context id.
    #[cfg_attr(test, schema(minimum = 3, maximum = 4294967294u32))]
    pub guest_cid: u32,
    /// Host path of the socket.
    pub uds_path: String,
}

only_objects!(Vsock);
