//! Starting monitors and finding them again: what the `bulkhead` program and the engine share.
//!
//! A machine has a [`Folder`] with its sockets, its document and logs, and a [`Record`] of the
//! processes it belongs to. [`Launch`] starts a `bulkhead-vmm` on it, [`Process`] is that monitor
//! for whoever did not start it, and [`EndRecord`] tells how a machine ended that is gone.
#![forbid(unsafe_code)]

mod end_record;
mod ended;
mod folder;
mod process;
mod process_id;
mod record;
mod runtime;
mod start;

pub use end_record::{EndRecord, events};
pub use ended::{Ended, reason};
pub use folder::{Folder, FolderError};
pub use process::Process;
pub use process_id::ProcessId;
pub use record::{Life, Record};
pub use runtime::{NotOwn, engine_folder, own, runtime_folder};
pub use start::{Console, Launch, LaunchError, program};

/// Kernel arguments by which Linux does not look for hardware that no such machine has, and ends
/// the machine when it panics.
pub const QUIET_PROBING: &str =
    "reboot=k panic=1 i8042.noaux i8042.nomux i8042.dumbkbd swiotlb=noforce cryptomgr.notests";
