//! What is opened while a machine is configured.

use std::io;
use std::path::Path;

use vm_spec::{HostFolderSpec, StreamSpec, SwitchPortSpec};

use super::super::wire::{Logger, Metrics};
use super::static_template::HostProcessor;

/// Opens what the configuration names, at the time when it is named.
///
/// What was opened is found again by its path or name when the machine is built. An
/// implementation keeps it until then, or until it is closed.
pub trait Host {
    /// Opens the kernel, instead of the one before.
    ///
    /// # Errors
    ///
    /// Those of opening; the one before stays.
    fn open_kernel(&mut self, path: &Path) -> io::Result<()>;

    /// Opens the initial RAM disk, or closes the one before.
    ///
    /// # Errors
    ///
    /// Those of opening; the one before stays.
    fn open_initrd(&mut self, path: Option<&Path>) -> io::Result<()>;

    /// Opens a disk's file.
    ///
    /// # Errors
    ///
    /// Those of opening.
    fn open_drive(&mut self, path: &Path, read_only: bool) -> io::Result<()>;

    /// Closes a disk's file that is not needed any more.
    fn close_drive(&mut self, path: &Path);

    /// Opens a tap interface with so many queues.
    ///
    /// # Errors
    ///
    /// Those of opening.
    fn open_tap(&mut self, name: &str, queues: u16) -> io::Result<()>;

    /// Connects to a port of a switch.
    ///
    /// # Errors
    ///
    /// Those of connecting, and the switch's refusal.
    fn open_switch_port(&mut self, port: &SwitchPortSpec) -> io::Result<()>;

    /// Closes a tap interface that is not needed any more.
    fn close_tap(&mut self, name: &str);

    /// Listens at a unix socket for connections to the guest.
    ///
    /// # Errors
    ///
    /// Those of binding.
    fn bind_vsock(&mut self, path: &Path) -> io::Result<()>;

    /// Removes a unix socket that is not needed any more.
    fn unbind_vsock(&mut self, path: &Path);

    /// Opens the folder or file of a share.
    ///
    /// # Errors
    ///
    /// Those of opening.
    fn open_share(&mut self, folder: &HostFolderSpec) -> io::Result<()>;

    /// Opens where the characters of a console or serial port go.
    ///
    /// # Errors
    ///
    /// Those of opening or binding.
    fn open_stream(&mut self, stream: &StreamSpec) -> io::Result<()>;

    /// Closes a stream that is not needed any more.
    fn close_stream(&mut self, stream: &StreamSpec);

    /// Changes where and how the monitor logs.
    ///
    /// # Errors
    ///
    /// Those of opening; nothing has changed then.
    fn set_logger(&mut self, logger: &Logger) -> io::Result<()>;

    /// Sets where the monitor writes its metrics. It can be set once.
    ///
    /// # Errors
    ///
    /// Those of opening, and [`io::ErrorKind::AlreadyExists`] the second time.
    fn set_metrics(&mut self, metrics: &Metrics) -> io::Result<()>;

    /// Reads a file of changes to the processors, which a configuration file names.
    ///
    /// # Errors
    ///
    /// Those of reading.
    fn read_cpu_config(&mut self, path: &Path) -> io::Result<String>;

    /// What processor the host has.
    fn processor(&self) -> HostProcessor;
}

/// A host that opens nothing, to check a configuration without side effects.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn open_kernel(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn open_initrd(&mut self, _: Option<&Path>) -> io::Result<()> {
        Ok(())
    }
    fn open_drive(&mut self, _: &Path, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn close_drive(&mut self, _: &Path) {}
    fn open_tap(&mut self, _: &str, _: u16) -> io::Result<()> {
        Ok(())
    }
    fn open_switch_port(&mut self, _: &SwitchPortSpec) -> io::Result<()> {
        Ok(())
    }
    fn close_tap(&mut self, _: &str) {}
    fn bind_vsock(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn unbind_vsock(&mut self, _: &Path) {}
    fn open_share(&mut self, _: &HostFolderSpec) -> io::Result<()> {
        Ok(())
    }
    fn open_stream(&mut self, _: &StreamSpec) -> io::Result<()> {
        Ok(())
    }
    fn close_stream(&mut self, _: &StreamSpec) {}
    fn set_logger(&mut self, _: &Logger) -> io::Result<()> {
        Ok(())
    }
    fn set_metrics(&mut self, _: &Metrics) -> io::Result<()> {
        Ok(())
    }
    fn read_cpu_config(&mut self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
    fn processor(&self) -> HostProcessor {
        HostProcessor { vendor: [0; 12], signature: 0 }
    }
}
