//! The host's side of virtio-vsock: unix sockets, by Firecracker's convention.
//!
//! * A host program connects to the machine's socket and says `CONNECT <port>\n`; once the guest
//!   has accepted it reads `OK <host port>\n`, then the stream begins ([`Greeting`]).
//! * A guest's connection to port P of the host arrives at the socket of the same path with `_P`
//!   appended ([`HostSockets::connect`]).

mod bind;
mod greeting;
mod sockets;

pub use bind::BindError;
pub use greeting::{Greeting, GreetingStep};
pub use sockets::{ConnectError, HostSockets};
