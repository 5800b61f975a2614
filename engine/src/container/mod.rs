//! Containers: what they are, their life, their streams and their files.

mod error;
pub mod logs;
pub mod moment;
pub mod names;
pub mod spec;

pub use self::error::ContainerError;
pub use self::names::short_id;
