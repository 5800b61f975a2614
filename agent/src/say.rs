//! The agent's own messages, for whoever looks at the console. There are none while all is well:
//! a byte on a serial console costs an exit to the host.

use std::{fmt, fs::OpenOptions, io::Write};

use rustix::stdio::stderr;

/// Writes one line to the console, or to the kernel's log where there is no console.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    let line = format!("bulkhead-agent: {message}\n");
    if rustix::io::write(stderr(), line.as_bytes()).is_err()
        && let Ok(mut log) = OpenOptions::new().write(true).open("/dev/kmsg")
    {
        // There is nowhere left to complain.
        let _ = log.write_all(line.as_bytes());
    }
}

/// Writes one formatted line to the console.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::say::line(format_args!($($argument)*)) };
}
