//! Character streams: the host's side of serial ports and consoles.
//!
//! A [`Stream`] joins a device with the host. The device has the [`GuestEnd`]: it writes the
//! guest's output there and reads input from there, never blocks, and sees no file descriptor. An
//! event loop moves bytes between that and a [`Backend`] (standard streams, a file, a
//! pseudo-terminal, a socket, nothing) and some attached clients.
//!
//! ```text
//!   device ── GuestEnd ──► last bytes of output ──┬──► backend
//!     ▲                    (a ring: bounded)      ├──► attached client
//!     │                                           └──► ConsoleLog (what it said before it failed)
//!     └─────────────────── input (bounded) ◄────────── backend and clients
//! ```
//!
//! Memory is bounded whatever the guest or a client does. A client that is too slow loses output;
//! the backend can hold the guest back instead, but not for longer than [`STALL`].

mod backend;
mod bound;
mod channel;
mod descriptor;
mod host;
mod panic_watch;
mod peer;
mod ring;
mod stream;

pub use backend::{Backend, BackendError};
pub use channel::{ChannelMetrics, ConsoleLog, GuestEnd};
pub use host::{AttachError, STALL};
pub use stream::{Stream, StreamError};

#[cfg(test)]
mod tests;
