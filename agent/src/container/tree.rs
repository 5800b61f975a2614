//! Mounts as descriptors: made, changed and only then attached, so that no path is walked twice
//! and nothing is visible half done.

// For `mount_setattr`, which has no wrapper.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::libc;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// A mount that is not attached yet.
#[derive(Debug)]
pub(super) struct Tree {
    mount: OwnedFd,
}

impl Tree {
    /// A new file system of `kind`. `options` are its own, comma-separated as for mount(8).
    pub(super) fn new(
        kind: &str,
        source: &str,
        options: &str,
        attributes: MountAttrFlags,
    ) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        if !source.is_empty() {
            fsconfig_set_string(&context, "source", source)?;
        }
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some((key, value)) => fsconfig_set_string(&context, key, value)?,
                None => fsconfig_set_flag(&context, option)?,
            }
        }
        fsconfig_create(&context)?;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self { mount })
    }

    /// Another view of what is at `path` below `folder`; `path` may be empty. With everything
    /// that is mounted below it, if `recursive`.
    pub(super) fn bind(folder: impl AsFd, path: &str, recursive: bool) -> io::Result<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        if path.is_empty() {
            flags |= OpenTreeFlags::AT_EMPTY_PATH;
        }
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        Ok(Self { mount: open_tree(folder, path, flags)? })
    }

    /// Attaches the mount over `target`.
    pub(super) fn attach(&self, target: impl AsFd) -> io::Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(&self.mount, "", target, "", flags)?)
    }

    /// The root of the mount.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.mount
    }
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes of the mount that `fd` is on, and of those below it if `recursive`.
pub(super) fn set_attributes(
    fd: impl AsFd,
    attributes: MountAttrFlags,
    recursive: bool,
) -> io::Result<()> {
    let wanted = Attributes {
        set: u64::from(attributes.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, and the structure, of the size given, lives here.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<Attributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
