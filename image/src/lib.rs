//! Container images: names, registries, archives, layers as EROFS images, and the store that
//! keeps them.
#![forbid(unsafe_code)]

pub mod archive;
pub mod config;
mod digest;
mod erofs;
pub mod layer;
pub mod manifest;
mod platform;
mod reference;
pub mod registry;
pub mod store;

pub use digest::{Digest, InvalidDigest};
pub use platform::{InvalidPlatform, Platform};
pub use reference::{DEFAULT_REGISTRY, InvalidReference, Reference};
pub use store::{Image, ImageId, Store, StoreError};
