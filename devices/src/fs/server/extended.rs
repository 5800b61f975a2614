//! Extended attributes.
//!
//! Those of the guest's users (`user.`) are the host's. Those that are the guest's kernel's own
//! business (`trusted.`) are kept under another name, so that they mean nothing to the host. File
//! capabilities, labels and access control lists (`security.`, `system.`) are neither shown nor
//! set: the host's are not for the guest, and the guest's must not count on the host.

use std::ffi::{CStr, CString};

use rustix::fs::{FileType, XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::{Answer, Call, Server};
use crate::fs::node::Node;
use crate::fs::protocol::{GetxattrIn, GetxattrOut, SetxattrIn};

/// What our own attributes and the guest's `trusted.` ones begin with at the host.
const OURS: &[u8] = b"user.bulkhead.";
const TRUSTED: &[u8] = b"trusted.";
/// Linux's limits: of a name, of a value and of a list.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 65536;

impl Server {
    pub(super) fn getxattr(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let GetxattrIn { size, .. } = call.arguments.take()?;
        let [name] = call.arguments.texts()?;
        let name = host_name(&name).ok_or(Errno::NODATA)?;
        let node = self.bearer(call.node).ok_or(Errno::NODATA)?;
        let mut value = vec![0; if size == 0 { MAX_VALUE } else { MAX_VALUE.min(size as usize) }];
        let len = getxattr(DecInt::from_fd(node), name, &mut value[..])?;
        value.truncate(len);
        sized(value, size)
    }

    pub(super) fn listxattr(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let GetxattrIn { size, .. } = call.arguments.take()?;
        let mut list = Vec::new();
        if let Some(node) = self.bearer(call.node) {
            let mut names = vec![0; MAX_VALUE];
            let len = listxattr(DecInt::from_fd(node), &mut names[..])?;
            names.truncate(len);
            for name in names.split(|byte| *byte == 0).filter_map(guest_name) {
                list.extend_from_slice(name);
                list.push(0);
            }
        }
        sized(list, size)
    }

    pub(super) fn setxattr(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let SetxattrIn { size, flags } = call.arguments.take()?;
        let (name, value) = call.arguments.text_and_bytes(size as usize, MAX_VALUE)?;
        let flags = XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        let name = host_name(&name).ok_or(Errno::OPNOTSUPP)?;
        let node = self.bearer(call.node).ok_or(Errno::PERM)?;
        setxattr(DecInt::from_fd(node), name, &value, flags)?;
        Ok(Answer::Empty)
    }

    pub(super) fn removexattr(&mut self, call: Call) -> Result<Answer, Errno> {
        let [name] = call.arguments.texts()?;
        let name = host_name(&name).ok_or(Errno::NODATA)?;
        let node = self.bearer(call.node).ok_or(Errno::NODATA)?;
        removexattr(DecInt::from_fd(node), name)?;
        Ok(Answer::Empty)
    }

    /// The node, if Linux lets it have attributes of users. The thread's working directory is
    /// where the numbers of descriptors are names.
    fn bearer(&self, node: u64) -> Option<Node<'_>> {
        let node = self.nodes.get(node).ok()?;
        matches!(node.kind(), FileType::RegularFile | FileType::Directory).then_some(node)
    }
}

/// A value, or its length for a guest that asks how much room to make.
fn sized(value: Vec<u8>, room: u32) -> Result<Answer, Errno> {
    // At most MAX_VALUE.
    let len = value.len() as u32;
    match room {
        0 => Ok(Answer::of(&GetxattrOut { size: len, padding: 0 })),
        _ if room < len => Err(Errno::RANGE),
        _ => Ok(Answer::Bytes(value.into())),
    }
}

/// What the host calls an attribute of the guest; `None` if it has none of that name.
fn host_name(name: &CStr) -> Option<CString> {
    let bytes = name.to_bytes();
    if bytes.starts_with(OURS) {
        return None;
    }
    if bytes.starts_with(b"user.") {
        return Some(name.to_owned());
    }
    let mapped = [OURS, bytes].concat();
    (bytes.starts_with(TRUSTED) && mapped.len() <= MAX_NAME)
        .then(|| CString::new(mapped).ok())
        .flatten()
}

/// What the guest calls an attribute of the host; `None` if it is not to know of it.
fn guest_name(name: &[u8]) -> Option<&[u8]> {
    match name.strip_prefix(OURS) {
        Some(inner) => inner.starts_with(TRUSTED).then_some(inner),
        None => name.starts_with(b"user.").then_some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_attribute_has_another_name_at_the_host_and_the_same_again_in_the_guest() {
        let host = host_name(c"trusted.overlay.opaque").unwrap();
        assert_eq!(host.as_c_str(), c"user.bulkhead.trusted.overlay.opaque");
        assert_eq!(guest_name(host.as_bytes()), Some(&b"trusted.overlay.opaque"[..]));
    }

    #[test]
    fn attributes_of_the_host_and_our_own_are_out_of_the_guests_reach() {
        for name in [
            c"security.capability",
            c"security.selinux",
            c"system.posix_acl_access",
            c"user.bulkhead.owner",
            c"user.bulkhead.trusted.x",
            c"",
        ] {
            assert_eq!(host_name(name), None, "{name:?}");
        }
        for name in [&b"security.capability"[..], b"trusted.x", b"user.bulkhead.owner", b""] {
            assert_eq!(guest_name(name), None, "{name:?}");
        }
        assert_eq!(guest_name(b"user.x"), Some(&b"user.x"[..]));
    }
}
