//! Drives, network interfaces, vsock and the metadata service, before the guest starts.

use super::host::Host;
use super::objects::{Objects, path};
use crate::vm::VmFault;
use crate::vm::wire::{Drive, MmdsConfig, NetworkInterface, Vsock};

/// Longest name of a network interface: Linux's `IFNAMSIZ` less the NUL.
const MAX_INTERFACE_NAME: usize = 15;

impl Objects {
    pub(super) fn put_drive(&mut self, drive: Drive, host: &mut dyn Host) -> Result<(), VmFault> {
        let other_root =
            self.drives.iter().any(|d| d.is_root_device && d.drive_id != drive.drive_id);
        if drive.is_root_device && other_root {
            return Err(VmFault::Drive("A root block device already exists!".into()));
        }
        let cannot = |why: String| {
            VmFault::Drive(format!("Unable to create the virtio block device: {why}"))
        };
        let file = match (&drive.path_on_host, &drive.socket) {
            (Some(file), None) => file,
            (None, Some(_)) => return Err(VmFault::NotAvailable("a vhost-user drive")),
            _ => return Err(cannot("Invalid block config.".into())),
        };
        host.open_drive(path(file), drive.is_read_only.unwrap_or(false)).map_err(|error| {
            cannot(format!(
                "Virtio backend error: Error manipulating the backing file: {error} {file}"
            ))
        })?;
        let is_root = drive.is_root_device;
        // The guest finds the root device first.
        match self.drives.iter().position(|d| d.drive_id == drive.drive_id) {
            None if is_root => self.drives.insert(0, drive),
            None => self.drives.push(drive),
            Some(at) => {
                let old = std::mem::replace(&mut self.drives[at], drive);
                self.close_replaced_drive(&old, host);
                if is_root {
                    self.drives.swap(0, at);
                }
            }
        }
        Ok(())
    }

    fn close_replaced_drive(&self, old: &Drive, host: &mut dyn Host) {
        let now = self.drives.iter().find(|d| d.drive_id == old.drive_id);
        let Some(old_path) = old.path_on_host.as_deref() else { return };
        let same = now.is_some_and(|d| d.path_on_host.as_deref() == Some(old_path));
        if !same && !self.has_drive_file(&old.drive_id, old_path) {
            host.close_drive(path(old_path));
        }
    }

    pub(super) fn put_interface(
        &mut self,
        interface: NetworkInterface,
        host: &mut dyn Host,
    ) -> Result<(), VmFault> {
        let id = &interface.iface_id;
        if let Some(mac) = interface.guest_mac {
            let taken = |i: &NetworkInterface| i.guest_mac == Some(mac) && i.iface_id != *id;
            if self.interfaces.iter().any(taken) {
                return Err(VmFault::Network(format!("The MAC address is already in use: {mac}")));
            }
        }
        let at = self.interfaces.iter().position(|i| i.iface_id == *id);
        let old_tap = at.and_then(|at| self.interfaces.get(at)).map(|i| i.host_dev_name.clone());
        check_interface(&interface)?;
        let tap = &interface.host_dev_name;
        if old_tap.as_ref() != Some(tap) {
            if self.interfaces.iter().any(|i| i.host_dev_name == *tap) {
                return Err(cannot_create(&format!(
                    "Open tap device failed: {tap} already belongs to another interface"
                )));
            }
            host.open_tap(tap, 1).map_err(|error| {
                cannot_create(&format!("Open tap device failed: {tap}: {error}"))
            })?;
            if let Some(old_tap) = old_tap {
                host.close_tap(&old_tap);
            }
        }
        match at.and_then(|at| self.interfaces.get_mut(at)) {
            Some(slot) => *slot = interface,
            None => self.interfaces.push(interface),
        }
        Ok(())
    }

    pub(super) fn put_vsock(&mut self, vsock: Vsock, host: &mut dyn Host) -> Result<(), VmFault> {
        if !(3..u32::MAX).contains(&vsock.guest_cid) {
            return Err(VmFault::Vsock(format!(
                "Cannot create vsock device: guest_cid {} is not 3 to 4294967294",
                vsock.guest_cid
            )));
        }
        let old_path = self.vsock.take().map(|old| old.uds_path);
        if let Some(old_path) = old_path {
            host.unbind_vsock(path(&old_path));
        }
        host.bind_vsock(path(&vsock.uds_path)).map_err(|error| {
            VmFault::Vsock(format!(
                "Cannot create backend for vsock device: Error binding to the host-side Unix \
                 socket: {error}"
            ))
        })?;
        self.vsock = Some(vsock);
        Ok(())
    }

    pub(super) fn put_mmds_config(&mut self, config: MmdsConfig) -> Result<(), VmFault> {
        let fault = |text: &str| Err(VmFault::MmdsConfig(text.to_owned()));
        if let Some(address) = config.ipv4_address {
            let [.., third, _] = address.octets();
            // RFC 3927 §2.1 reserves the first and last 256 addresses of the block.
            if !address.is_link_local() || matches!(third, 0 | 255) {
                return fault("The MMDS IPv4 address is not link local.");
            }
        }
        if config.network_interfaces.is_empty() {
            return fault(
                "The list of network interface IDs that allow forwarding MMDS requests is empty.",
            );
        }
        let known = |id: &String| self.interfaces.iter().any(|i| i.iface_id == *id);
        if !config.network_interfaces.iter().all(known) {
            return fault(
                "The list of network interface IDs provided contains at least one ID that does \
                 not correspond to any existing network interface.",
            );
        }
        self.mmds = Some(config);
        Ok(())
    }
}

fn check_interface(interface: &NetworkInterface) -> Result<(), VmFault> {
    if let Some(mtu) = interface.mtu.filter(|mtu| *mtu < 68) {
        return Err(cannot_create(&format!("MTU {mtu} is out of range [68, 65535]")));
    }
    if let Some(mac) = interface.guest_mac.filter(|mac| !mac.is_unicast()) {
        return Err(cannot_create(&format!("MAC address {mac} is not that of one interface")));
    }
    if !(1..=MAX_INTERFACE_NAME).contains(&interface.host_dev_name.len()) {
        return Err(cannot_create("Open tap device failed: Invalid interface name"));
    }
    Ok(())
}

fn cannot_create(why: &str) -> VmFault {
    VmFault::Network(format!("Could not create the network device: {why}"))
}
