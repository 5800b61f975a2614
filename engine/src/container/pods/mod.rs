//! Pods: several containers in one machine, with one network.
//!
//! A pod is kept as a container without a process (see [`super::home`]): so it has a name that no
//! container has, networks, ports and a size, and is found again as they are.
//!
//! ```text
//!             start, or a container of it       stop, kill, or its machine ends
//!  created ──────────────────────────► running ──────────────────────────────► exited ──► …
//! ```
//!
//! A pod runs until it is stopped, whether a container in it does or not.

pub mod document;
mod life;
mod make;

pub use self::document::{Pod, PodContainer, PodCreate, PodPort};
