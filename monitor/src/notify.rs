//! Telling whoever waits that the guest runs (systemd's sd_notify protocol).

use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Sends `READY=1`. A listener that is gone is not this process's trouble.
pub(crate) fn ready(socket: &Path) {
    let sent = UnixDatagram::unbound().and_then(|unbound| unbound.send_to(b"READY=1", socket));
    if let Err(e) = sent {
        log::warn!("Failed to notify {}: {e}", socket.display());
    }
}
