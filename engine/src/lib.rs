//! Containers in virtual machines, behind the API of the Docker Engine.
#![forbid(unsafe_code)]

pub mod container;
