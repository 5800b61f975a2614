//! What a guest says on its serial port.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

/// The other end of a machine's serial port, whose output is kept.
#[derive(Debug)]
pub struct Console {
    input: UnixStream,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self, mut stream: UnixStream) {
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).unwrap_or(0);
            let mut said = self.said();
            said.bytes.extend_from_slice(&buffer[..read]);
            said.ended = read == 0;
            self.more.notify_all();
            if said.ended {
                return;
            }
        }
    }
}

impl Console {
    /// Collects what comes out of `stream`.
    pub(crate) fn over(stream: UnixStream) -> anyhow::Result<Self> {
        let output = Arc::<Output>::default();
        let (reader, collector) = (stream.try_clone()?, Arc::clone(&output));
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || collector.collect(reader))?;
        Ok(Self { input: stream, output })
    }

    /// Everything that was said until now.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.said().bytes).into_owned()
    }

    /// Types `text`.
    ///
    /// # Errors
    ///
    /// The monitor has gone.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        Ok((&self.input).write_all(text.as_bytes())?)
    }

    /// Waits until `text` has been said.
    ///
    /// # Errors
    ///
    /// It was not within `limit`, or the monitor ended before.
    pub fn wait_for(&self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        let mut said = self.output.said();
        while !contains(&said.bytes, text.as_bytes()) {
            let left = until.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                let said = String::from_utf8_lossy(&said.bytes);
                bail!("the console did not say {text:?} within {limit:?}, but:\n{said}");
            }
            (said, _) =
                self.output.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
