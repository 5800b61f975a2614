//! The power button, over generic netlink.
//!
//! The kernel leaves the button to user space. Its ACPI driver tells a multicast group of the
//! generic netlink family `acpi_event` (kernel, `drivers/acpi/event.c`), which needs no input
//! device.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
    netlink::{GENERIC, SocketAddrNetlink},
    recv, send, socket_with,
};

/// Lengths of `struct nlmsghdr` and `struct genlmsghdr`, of an attribute's header, and the unit
/// that attributes are aligned to (netlink(7)).
const HEADERS: usize = 16 + 4;
const ATTRIBUTE: usize = 4;
const ALIGN: usize = 4;

/// The family that manages families, and what is asked of it (`linux/genetlink.h`).
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
const NLM_F_REQUEST: u16 = 1;

/// The one attribute of an ACPI event: `struct acpi_genl_event`, which begins with the device's
/// class.
const ACPI_GENL_ATTR_EVENT: u16 = 1;
const POWER_BUTTON: &[u8] = b"button/power";

/// Longer than any message here.
const BUFFER: usize = 4096;

/// Hears of ACPI events.
pub(crate) struct PowerButton {
    socket: OwnedFd,
}

impl PowerButton {
    /// Joins the group. `None` on a machine without ACPI.
    pub(crate) fn listen() -> io::Result<Option<Self>> {
        let socket = open()?;
        send(&socket, &family_request(), SendFlags::empty())?;
        let mut buffer = [0; BUFFER];
        // The kernel has answered when send returns.
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let Some(group) = group_of(buffer.get(..length).unwrap_or_default()) else {
            return Ok(None);
        };
        let Some(mask) = group.checked_sub(1).and_then(|bit| 1_u32.checked_shl(bit)) else {
            return Err(io::Error::other("group number beyond those that bind can join"));
        };
        let socket = open()?;
        bind(&socket, &SocketAddrNetlink::new(0, mask))?;
        Ok(Some(Self { socket }))
    }

    /// Reads the events that have arrived; whether the button was pressed among them.
    pub(crate) fn pressed(&self) -> bool {
        let mut pressed = false;
        let mut buffer = [0; BUFFER];
        while let Ok((length, _)) = recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            pressed |= is_power_button(buffer.get(..length).unwrap_or_default());
        }
        pressed
    }
}

impl AsFd for PowerButton {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(GENERIC))?)
}

/// Asks for the family `acpi_event`.
fn family_request() -> Vec<u8> {
    let name = b"acpi_event\0";
    let padded = name.len().next_multiple_of(ALIGN);
    let mut message = Vec::with_capacity(HEADERS + ATTRIBUTE + padded);
    let length = u32::try_from(HEADERS + ATTRIBUTE + padded).unwrap_or(0);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&GENL_ID_CTRL.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    // Sequence number, sender; then command, version, reserved.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[CTRL_CMD_GETFAMILY, 1, 0, 0]);
    let length = u16::try_from(ATTRIBUTE + name.len()).unwrap_or(0);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&CTRL_ATTR_FAMILY_NAME.to_ne_bytes());
    message.extend_from_slice(name);
    message.resize(HEADERS + ATTRIBUTE + padded, 0);
    message
}

/// The number of the family's only multicast group, in the answer.
fn group_of(answer: &[u8]) -> Option<u32> {
    let groups = find(answer.get(HEADERS..)?, CTRL_ATTR_MCAST_GROUPS)?;
    let (_, first) = attributes(groups).next()?;
    let id = find(first, CTRL_ATTR_MCAST_GRP_ID)?;
    Some(u32::from_ne_bytes(*id.first_chunk()?))
}

fn is_power_button(message: &[u8]) -> bool {
    let event = message.get(HEADERS..).and_then(|rest| find(rest, ACPI_GENL_ATTR_EVENT));
    event.is_some_and(|event| event.starts_with(POWER_BUTTON))
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Kind and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        bytes
    }

    fn message(attributes: &[u8]) -> Vec<u8> {
        [&[0; HEADERS], attributes].concat()
    }

    #[test]
    fn the_group_is_found_in_the_answer() {
        let name = attribute(1, b"acpi_mc_group\0");
        let group = [name, attribute(CTRL_ATTR_MCAST_GRP_ID, &5_u32.to_ne_bytes())].concat();
        let groups = attribute(CTRL_ATTR_MCAST_GROUPS, &attribute(1, &group));
        let answer = message(&[attribute(CTRL_ATTR_FAMILY_NAME, b"acpi_event\0"), groups].concat());
        assert_eq!(group_of(&answer), Some(5));
    }

    #[test]
    fn an_error_answer_has_no_group() {
        assert_eq!(group_of(&message(&(-2_i32).to_ne_bytes())), None);
        assert_eq!(group_of(&[]), None);
    }

    #[test]
    fn only_the_power_button_counts() {
        let event = |class: &[u8]| message(&attribute(ACPI_GENL_ATTR_EVENT, class));
        assert!(is_power_button(&event(b"button/power\0\0\0\0\0\0\0\0LNXPWRBN")));
        assert!(!is_power_button(&event(b"button/sleep\0\0\0\0\0\0\0\0LNXSLPBN")));
        assert!(!is_power_button(&message(&[])));
    }

    #[test]
    fn a_length_of_nothing_ends_the_search() {
        assert!(!is_power_button(&message(&[0; 64])));
        assert!(!is_power_button(&message(&[0xff; 64])));
    }

    #[test]
    fn this_kernel_understands_the_request() {
        PowerButton::listen().unwrap();
    }
}
