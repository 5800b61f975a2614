//! The event loops that run the backs of devices.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use devices::virtio::event_loop::{EventLoop, LoopHandle};

/// A thread's name has room for this many bytes.
const NAME: usize = 15;

/// Starts loops, and ends them when it is dropped. Busy devices get loops of their own, quiet ones
/// share one.
pub struct Loops {
    confine: Arc<dyn Fn() + Send + Sync>,
    running: Vec<(LoopHandle, JoinHandle<()>)>,
    quiet: Option<LoopHandle>,
}

impl Loops {
    /// No loops yet. `confine` runs first on each one's thread.
    pub fn new(confine: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { confine, running: Vec::new(), quiet: None }
    }

    /// `count` new loops for the device `id`.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub(super) fn busy(&mut self, id: &str, count: u16) -> io::Result<Vec<LoopHandle>> {
        (0..count)
            .map(|number| {
                let name = if count == 1 { format!("vio-{id}") } else { format!("{number}-{id}") };
                self.start(&name)
            })
            .collect()
    }

    /// The loop that quiet devices share.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub(super) fn quiet(&mut self) -> io::Result<LoopHandle> {
        if let Some(handle) = &self.quiet {
            return Ok(handle.clone());
        }
        let handle = self.start("vio-shared")?;
        Ok(self.quiet.insert(handle).clone())
    }

    fn start(&mut self, name: &str) -> io::Result<LoopHandle> {
        let confine = Arc::clone(&self.confine);
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
