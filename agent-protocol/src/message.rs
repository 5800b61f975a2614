//! The messages, as protobuf structures.
//!
//! The derives are the schema: tags never change their meaning, removed ones are never reused, and
//! a field that is absent means its zero value. Names that the guest interprets (paths, arguments)
//! are bytes, because Linux does not promise UTF-8.

mod container;
mod envelope;
mod exec;
mod files;
mod machine;
mod metrics;
mod network;

pub use container::{
    CloseInput, Confinement, ContainerEnd, ContainerFile, ContainerMetrics, ContainerMount,
    ContainerRef, ContainerState, ContainerStatus, Containers, CreateContainer, ListContainers,
    MountKind, Process, Processes, Resources, Rlimit, Rootfs, SignalContainer, UpdateContainer,
    UpdateFiles, WaitContainer,
};
pub use envelope::{Failure, FailureKind, FromAgent, Reply, Request, ToAgent};
pub use exec::{
    Attach, CloseOutput, Exec, Exited, Follows, Output, Resize, Signal, Started, Stdio, Stream,
    Terminal,
};
pub use files::{PathStatus, ReadArchive, ReadChanges, StatPath, WriteArchive};
pub use machine::{Done, Hello, Mount, Open, PowerMode, PowerOff, Unmount, Versions};
pub use metrics::{
    CpuMetrics, DiskMetrics, FileSystemMetrics, GetMetrics, MemoryMetrics, Metrics, NetMetrics,
};
pub use network::{Card, ConfigureNetwork, SetClock};
