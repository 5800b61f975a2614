//! What the main thread owns: the configuration, what is open, and the machine's handles.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use api::metrics::MetricFamily;
use api::vm::config_state::{ConfigState, Identity, Step};
use api::vm::{EventHub, VmFault, VmRequest, VmResponse};
use vm_spec::{BoardSpec, Transport};
use vmm::board::DeviceSet;
use vmm::machine::{Machine, Phases};
use vmm::vcpu::Exits;

use crate::args::Args;
use crate::confinement::Confinement;
use crate::counters;
use crate::flush::Ticker;
use crate::host::OpenFiles;
use crate::logger::open_append;
use crate::metadata::Metadata;
use crate::startup::Startup;
use crate::terminal::RawMode;

/// The handles of a machine that was started.
pub(crate) struct Running {
    /// Whether a console is on this process's own terminal.
    pub(crate) uses_terminal: bool,
    pub(crate) devices: Arc<DeviceSet>,
    pub(crate) phases: Arc<Phases>,
    pub(crate) exits: Vec<Arc<Exits>>,
}

/// Everything.
pub(crate) struct Monitor {
    pub(crate) config: ConfigState,
    pub(crate) files: OpenFiles,
    pub(crate) metadata: Metadata,
    pub(crate) events: EventHub,
    pub(crate) started: Instant,
    /// How long the start-up took, once clients were served.
    pub(crate) startup: Option<Startup>,
    pub(crate) confinement: Confinement,
    pub(crate) notify_socket: Option<PathBuf>,
    /// Built and let go, but not yet run by the main thread.
    pub(crate) built: Option<Machine>,
    pub(crate) running: Option<Running>,
    pub(crate) terminal: Option<RawMode>,
    pub(crate) ticker: Option<Ticker>,
    /// How long the last pause and resume took, in microseconds.
    pub(crate) pause_us: u64,
    pub(crate) resume_us: u64,
}

impl Monitor {
    /// Nothing configured yet.
    pub(crate) fn new(
        args: &Args,
        started: Instant,
        confinement: Confinement,
    ) -> anyhow::Result<Self> {
        let transport = if args.enable_pci { Transport::Pci } else { Transport::Mmio };
        let identity = Identity {
            id: args.id.clone(),
            app_name: "Firecracker".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            board: BoardSpec { transport, boot_timer: args.boot_timer, ecam_only: false },
        };
        let events = EventHub::new();
        if let Some(path) = &args.events_path {
            let record = open_append(path).with_context(|| format!("failed to open {path}"))?;
            events.record(record);
        }
        let limit = args.mmds_size_limit.unwrap_or(args.http_api_max_payload_size);
        Ok(Self {
            config: ConfigState::new(identity),
            files: OpenFiles::default(),
            metadata: Metadata::new(&args.id, limit)?,
            events,
            started,
            startup: None,
            confinement,
            notify_socket: args.notify_socket.clone(),
            built: None,
            running: None,
            terminal: None,
            ticker: None,
            pause_us: 0,
            resume_us: 0,
        })
    }

    /// Answers a request. `machine` is there once it runs.
    pub(crate) fn serve(
        &mut self,
        request: VmRequest,
        machine: Option<&mut Machine>,
    ) -> Result<VmResponse, VmFault> {
        let name = request.name();
        let answer = match self.config.handle(request, &mut self.files) {
            Ok(Step::Reply(response)) => Ok(response),
            Ok(Step::Operate(operation, pending)) => {
                let done = self.operate(operation, machine);
                if done.is_ok() {
                    self.config.commit(pending);
                }
                done
            }
            Err(fault) => Err(fault),
        };
        match &answer {
            Ok(_) => log::debug!("{name}: done"),
            Err(fault) => log::error!("{name}: {fault}"),
        }
        answer
    }

    /// All that is counted.
    pub(crate) fn metrics(&self) -> Vec<MetricFamily> {
        counters::collect(self)
    }

    /// Appends a line to the metrics file, if there is one.
    pub(crate) fn flush_metrics(&mut self) -> Result<(), VmFault> {
        let families = self.metrics();
        match &mut self.files.metrics {
            Some(file) => file.write(&families).map_err(|e| VmFault::Internal(e.to_string())),
            None => Err(VmFault::Internal("Metrics error: Logger was not initialized.".to_owned())),
        }
    }
}
