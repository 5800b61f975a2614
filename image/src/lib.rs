//! Container images.
#![forbid(unsafe_code)]

mod digest;
pub mod manifest;
mod platform;
mod reference;

pub use digest::{Digest, InvalidDigest};
pub use platform::{InvalidPlatform, Platform};
pub use reference::{DEFAULT_REGISTRY, InvalidReference, Reference};
