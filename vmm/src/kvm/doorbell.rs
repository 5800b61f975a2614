//! Doorbells by KVM's ioeventfd.

use std::io;
use std::sync::Arc;

use devices::doorbell::Doorbells;
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::vm::Vm;

/// Binds guest addresses to eventfds inside KVM.
#[derive(Clone, Debug)]
pub struct KvmDoorbells {
    vm: Arc<VmFd>,
}

impl KvmDoorbells {
    /// Doorbells of `vm`.
    pub fn new(vm: &Vm) -> Self {
        Self { vm: Arc::clone(vm.ioctls()) }
    }
}

fn to_io(error: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

impl Doorbells for KvmDoorbells {
    fn bind(&self, addr: u64, datamatch: Option<u32>, event: &EventFd) -> io::Result<()> {
        let address = IoEventAddress::Mmio(addr);
        match datamatch {
            Some(value) => self.vm.register_ioevent(event, &address, value),
            None => self.vm.register_ioevent(event, &address, NoDatamatch),
        }
        .map_err(to_io)
    }

    fn unbind(&self, addr: u64, datamatch: Option<u32>, event: &EventFd) -> io::Result<()> {
        let address = IoEventAddress::Mmio(addr);
        match datamatch {
            Some(value) => self.vm.unregister_ioevent(event, &address, value),
            None => self.vm.unregister_ioevent(event, &address, NoDatamatch),
        }
        .map_err(to_io)
    }
}
