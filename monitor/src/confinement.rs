//! Which system calls each thread may make.

use std::sync::Arc;

use anyhow::Context;
use jail::seccomp::{Filters, ThreadKind, report_violations};

/// The filters of all kinds of threads, or none of them.
#[derive(Clone)]
pub(crate) struct Confinement(Option<Arc<Filters>>);

impl Confinement {
    /// Filters, if they are `wanted`.
    pub(crate) fn new(wanted: bool) -> anyhow::Result<Self> {
        if !wanted {
            return Ok(Self(None));
        }
        report_violations().context("failed to prepare for forbidden system calls")?;
        let filters = Filters::compile().context("failed to compile the seccomp filters")?;
        Ok(Self(Some(Arc::new(filters))))
    }

    /// Confines the calling thread. A thread that cannot be confined does not go on.
    pub(crate) fn confine(&self, kind: ThreadKind) {
        let Some(filters) = &self.0 else { return };
        if let Err(e) = filters.install(kind) {
            log::error!("Failed to confine a {} thread: {e}", kind.name());
            std::process::exit(1);
        }
    }

    /// What confines a thread of this kind, to be called on it.
    pub(crate) fn on(&self, kind: ThreadKind) -> Arc<dyn Fn() + Send + Sync> {
        let this = self.clone();
        Arc::new(move || this.confine(kind))
    }
}
