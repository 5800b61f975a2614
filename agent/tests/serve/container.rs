//! Containers, made by an agent that is an ordinary process. They need root, and a kernel with
//! EROFS and overlayfs.

mod files;
mod fixture;
mod life;
mod process;
mod rootfs;
mod streams;
