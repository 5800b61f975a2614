//! Container images.
#![forbid(unsafe_code)]
