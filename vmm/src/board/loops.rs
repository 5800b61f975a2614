//! The event loops that run the backs of devices.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use devices::fs::Share;
use devices::virtio::event_loop::{EventLoop, LoopHandle};

/// A thread's name has room for this many bytes.
const NAME: usize = 15;

/// What a thread runs first.
pub(super) type Confine = Arc<dyn Fn() + Send + Sync>;

/// What a thread runs first that serves a folder of the host, and nothing else: with the folder,
/// and whether it is read-only.
pub(super) type ConfineFiles = Arc<dyn Fn(BorrowedFd<'_>, bool) + Send + Sync>;

/// Starts loops, and ends them when it is dropped. Busy devices get loops of their own, quiet ones
/// share one.
pub struct Loops {
    confine: Confine,
    confine_files: ConfineFiles,
    running: Vec<(LoopHandle, JoinHandle<()>)>,
    quiet: Option<LoopHandle>,
}

impl Loops {
    /// No loops yet. `confine` runs first on each one's thread; `confine_files` does where a
    /// device serves the host's folders.
    pub fn new(confine: Confine, confine_files: ConfineFiles) -> Self {
        Self { confine, confine_files, running: Vec::new(), quiet: None }
    }

    /// `count` new loops for the device `id`.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub(super) fn busy(&mut self, id: &str, count: u16) -> io::Result<Vec<LoopHandle>> {
        (0..count)
            .map(|number| {
                let name = if count == 1 { format!("vio-{id}") } else { format!("{number}-{id}") };
                self.start(&name, Arc::clone(&self.confine))
            })
            .collect()
    }

    /// A new loop for the device `id`, which serves `share`.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub(super) fn files(&mut self, id: &str, share: &Share) -> io::Result<LoopHandle> {
        let confine = Arc::clone(&self.confine_files);
        let folder = share.opened().try_clone_to_owned()?;
        let read_only = share.options().read_only;
        let confine = move || confine(folder.as_fd(), read_only);
        self.start(&format!("vio-{id}"), Arc::new(confine))
    }

    /// The loop that quiet devices share.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub(super) fn quiet(&mut self) -> io::Result<LoopHandle> {
        if let Some(handle) = &self.quiet {
            return Ok(handle.clone());
        }
        let handle = self.start("vio-shared", Arc::clone(&self.confine))?;
        Ok(self.quiet.insert(handle).clone())
    }

    fn start(&mut self, name: &str, confine: Confine) -> io::Result<LoopHandle> {
        let name: String = name.chars().take(NAME).collect();
        let (handle, thread) = EventLoop::spawn(&name, move || confine())?;
        self.running.push((handle.clone(), thread));
        Ok(handle)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for (handle, _) in &self.running {
            handle.end();
        }
        for (_, thread) in self.running.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}
