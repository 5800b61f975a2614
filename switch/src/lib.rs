//! The user-mode network switch of containers.
#![forbid(unsafe_code)]
