//! The process of a machine's monitor: its end, told once to all who wait for it.

use std::io;
use std::process::Child;
use std::sync::Arc;

use launch::{EndRecord, Folder, Process};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// A monitor that is watched. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    process: Arc<AsyncFd<Process>>,
    ended: watch::Receiver<Option<Arc<EndRecord>>>,
}

impl Monitor {
    /// Watches a process; one that this engine started is reaped as well.
    pub(super) fn watch(
        process: Process,
        child: Option<Child>,
        folder: Folder,
    ) -> io::Result<Self> {
        // What it is deprecated for cannot happen: a `Process` owns one descriptor for all its life.
        #[expect(deprecated)]
        let process = AsyncFd::with_interest(process, Interest::READABLE)?;
        let process = Arc::new(process);
        let (sender, ended) = watch::channel(None);
        let watched = Arc::clone(&process);
        tokio::spawn(async move {
            // It fails only when the runtime ends, and then nobody is told of anything.
            let _ = watched.readable().await;
            if let Some(mut child) = child {
                // It has ended, so this does not wait.
                let _ = child.wait();
            }
            let _ = sender.send(Some(Arc::new(EndRecord::of(&folder))));
        });
        Ok(Self { process, ended })
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Arc<EndRecord> {
        let mut ended = self.ended.clone();
        loop {
            if let Some(end) = ended.borrow_and_update().as_ref() {
                return Arc::clone(end);
            }
            if ended.changed().await.is_err() {
                // The runtime ends; so does whoever waits here.
                std::future::pending::<()>().await;
            }
        }
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<Arc<EndRecord>> {
        self.ended.borrow().clone()
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.process.get_ref().kill();
    }
}
