//! The messages, as protobuf structures.
//!
//! The derives are the schema: tags never change their meaning, removed ones are never reused, and
//! a field that is absent means its zero value. Names that the guest interprets (paths, arguments)
//! are bytes, because Linux does not promise UTF-8.

mod envelope;
mod exec;
mod machine;
mod metrics;

pub use envelope::{Failure, FailureKind, FromAgent, Reply, Request, ToAgent};
pub use exec::{Attach, Exec, Exited, Resize, Signal, Started, Stdio, Stream, Terminal};
pub use machine::{Done, Hello, Mount, Open, PowerMode, PowerOff, Unmount, Versions};
pub use metrics::{
    CpuMetrics, DiskMetrics, FileSystemMetrics, GetMetrics, MemoryMetrics, Metrics, NetMetrics,
};
