//! `/serial`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

use super::TokenBucket;

/// The serial port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SerialDevice {
    /// Host path of a file or named pipe for its output; without, the monitor's own.
    pub serial_out_path: Option<String>,
    /// Limit on output in bytes; what exceeds it is dropped and counted.
    pub rate_limiter: Option<TokenBucket>,
}

only_objects!(SerialDevice);
