//! Folders of the host for guests: a FUSE server straight over guest memory.
//!
//! ```text
//!  request ──► Arguments ──► Server::dispatch ──► Nodes, Handles ──► the host's files
//!  (guest)                         │                                        │
//!  answer ◄────────────────────────┴── data: preadv, pwritev on guest memory ┘
//! ```
//!
//! # What keeps a guest inside
//!
//! * The share's root is opened once. From there on everything is found by descriptors: a file
//!   that the guest has looked up is a descriptor that only names it (O_PATH), and one name at a
//!   time is looked up in it, by `openat2` beneath it. No path is ever put together, so that what
//!   others rename meanwhile leads nowhere else.
//! * The host follows no symbolic link of the share: the guest's kernel does, in the guest's own
//!   tree. `.` and `..` are no names here.
//! * Only regular files and folders are ever opened. Device nodes can be neither opened nor made;
//!   named pipes and sockets are names for the guest's kernel only.
//! * What is read-only is so here, whatever the guest's mount says.
//! * Attributes with meaning to the host's kernel (file capabilities, labels, access control
//!   lists) are neither shown nor set; see the `extended` module.
//! * The number of files that a guest can have looked up is limited, and that of descriptors for
//!   them even more: see the `node` module. What it has open is limited too: see `handle`.
//!
//! Whether a user of the guest may do something is for the guest's kernel to decide; it knows
//! owners and modes, see the `owners` module.
//!
//! # What several guests see of each other
//!
//! What one has written is at the host when its call returns. With [`Cache::Auto`] another sees
//! names, attributes and a file's new length after a tenth of a second at most, and content when
//! it opens the file after that; with [`Cache::None`] all at once. Appending is atomic among
//! guests. Locks (`flock`, `fcntl`) are each guest's own.

mod answer;
mod arguments;
mod attributes;
mod handle;
mod metrics;
mod node;
mod owners;
mod protocol;
mod server;
mod share;
mod thread;

pub use metrics::{FsMetrics, OperationMetrics};
pub use protocol::Opcode;
pub use server::{Served, Server};
pub use share::{Cache, OpenShareError, Share, ShareOptions};
pub use thread::NEEDED_CAPABILITIES;
