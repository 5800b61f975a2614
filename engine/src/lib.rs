//! Containers in virtual machines, behind the API of the Docker Engine.
#![forbid(unsafe_code)]

pub mod agent;
pub mod container;
pub mod engine;
pub mod events;
pub mod http;
pub mod image_service;
pub mod network;
pub mod paths;
pub mod sandbox;
pub mod start_times;
pub mod store;
pub mod system;
pub mod vm;
pub mod volume;
