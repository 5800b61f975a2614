//! Bringing the loopback interface up, over rtnetlink(7).

use std::io;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with};

/// The loopback interface is the first that the kernel makes in any network namespace.
const LOOPBACK: u32 = 1;

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const IFF_UP: u32 = 1;

/// Brings `lo` up; the kernel gives it its addresses.
pub(crate) fn up() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    // Protocol 0 of the family is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    // The kernel has carried the request out when send returns.
    send(&socket, &request(), SendFlags::empty())?;
    Ok(())
}

/// `struct nlmsghdr`, then `struct ifinfomsg`.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    // Sequence number, sender.
    message.extend_from_slice(&[0; 8]);
    // Family, padding, type.
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&LOOPBACK.to_ne_bytes());
    // Flags, and which of them change.
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_long_as_it_says() {
        assert_eq!(request().len(), 32);
        // Setting a flag that is set already needs no privilege to be refused loudly.
        assert!(up().is_ok());
    }
}
