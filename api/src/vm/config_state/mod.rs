//! What was configured, and what is allowed when.
//!
//! ```text
//!                    Start committed            Pause committed
//!   ┌─────────────┐ ───────────────► ┌─────────┐ ─────────────► ┌────────┐
//!   │ Not started │                  │ Running │                │ Paused │
//!   └─────────────┘                  └─────────┘ ◄───────────── └────────┘
//!     objects are collected            only what               Resume committed
//!                                      a guest can take
//! ```
//!
//! [`ConfigState::handle`] judges a request. What needs neither guest nor host is answered at once;
//! the rest becomes an [`Operation`] for the monitor, and what it changes is recorded once that has
//! succeeded ([`ConfigState::commit`]). Files are opened through [`Host`] when they are configured,
//! so that nothing is opened by path later. There is no other input or output here.

mod after_start;
mod before_start;
mod devices;
mod file;
mod host;
mod objects;
mod operation;
mod spec;
mod static_template;
#[cfg(test)]
mod tests;

pub use file::{ConfigFile, ConfigFileError};
pub use host::{Host, NoHost};
pub use operation::{Operation, Pending, Step};
pub use static_template::HostProcessor;

use objects::Objects;
use operation::Change;
use vm_spec::VmSpec;

use super::wire::{InstanceInfo, InstanceState};
use super::{VmFault, VmRequest, VmResponse};

/// What does not change while the monitor runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The machine's id.
    pub id: String,
    /// The monitor's name.
    pub app_name: String,
    /// The monitor's version.
    pub version: String,
    /// Board-wide choices made on the command line; a native document brings its own.
    pub board: vm_spec::BoardSpec,
}

/// What was configured so far, and whether the guest runs.
#[derive(Clone, Debug)]
pub struct ConfigState {
    identity: Identity,
    state: InstanceState,
    config: Config,
}

/// How the machine was configured.
#[derive(Clone, Debug)]
enum Config {
    /// Object by object.
    Objects(Box<Objects>),
    /// As a whole.
    Spec(Box<VmSpec>),
}

impl ConfigState {
    /// Nothing was configured yet.
    pub fn new(identity: Identity) -> Self {
        Self { identity, state: InstanceState::NotStarted, config: Config::Objects(Box::default()) }
    }

    /// What the machine does.
    pub fn state(&self) -> InstanceState {
        self.state
    }

    /// Takes over a configuration file.
    ///
    /// # Errors
    ///
    /// The first fault of its objects, in the order in which a client would send them.
    pub fn load(&mut self, file: ConfigFile, host: &mut dyn Host) -> Result<(), VmFault> {
        for request in file.into_requests(host)? {
            self.handle(request, host)?;
        }
        Ok(())
    }

    /// Judges a request, and answers it or says what the monitor has to do.
    ///
    /// # Errors
    ///
    /// A [`VmFault`] if the request is not allowed now or makes no sense; nothing has changed then.
    pub fn handle(&mut self, request: VmRequest, host: &mut dyn Host) -> Result<Step, VmFault> {
        let request = match self.handle_always(request) {
            Always::Answered(step) => return step,
            Always::Depends(request) => request,
        };
        match self.state {
            InstanceState::NotStarted => self.handle_before_start(request, host),
            InstanceState::Running | InstanceState::Paused => self.handle_after_start(request),
        }
    }

    /// Judges a request and has `monitor` do what it asks for.
    ///
    /// # Errors
    ///
    /// Those of [`ConfigState::handle`] and of `monitor`.
    pub fn answer<M: Host>(
        &mut self,
        request: VmRequest,
        monitor: &mut M,
        operate: impl FnOnce(&mut M, Operation) -> Result<VmResponse, VmFault>,
    ) -> Result<VmResponse, VmFault> {
        match self.handle(request, monitor)? {
            Step::Reply(response) => Ok(response),
            Step::Operate(operation, pending) => {
                let response = operate(monitor, operation)?;
                self.commit(pending);
                Ok(response)
            }
        }
    }

    /// Records what an operation changed, once it has succeeded.
    pub fn commit(&mut self, pending: Pending) {
        match *pending.0 {
            Change::None => {}
            Change::State(state) => self.state = state,
            Change::Device(change) => match &mut self.config {
                Config::Objects(objects) => objects.apply(change),
                Config::Spec(spec) => spec::apply(spec, change),
            },
        }
    }

    /// The machine as it is configured now.
    ///
    /// # Errors
    ///
    /// [`VmFault::Start`] if something is missing.
    pub fn spec(&self) -> Result<VmSpec, VmFault> {
        match &self.config {
            Config::Objects(objects) => objects.spec(self.identity.board).map(|built| built.spec),
            Config::Spec(spec) => Ok((**spec).clone()),
        }
    }

    /// What is allowed in every state.
    fn handle_always(&self, request: VmRequest) -> Always {
        let response = match request {
            VmRequest::GetInstance => VmResponse::Instance(InstanceInfo {
                id: self.identity.id.clone(),
                state: self.state,
                vmm_version: self.identity.version.clone(),
                app_name: self.identity.app_name.clone(),
            }),
            VmRequest::GetVersion => VmResponse::Version(self.identity.version.clone()),
            VmRequest::GetConfig => VmResponse::Config(Box::new(self.full_config())),
            VmRequest::GetMachineConfig => VmResponse::MachineConfig(match &self.config {
                Config::Objects(objects) => objects.machine,
                Config::Spec(spec) => spec::machine_config(spec),
            }),
            VmRequest::GetSpec => {
                return Always::Answered(
                    self.spec().map(|spec| Step::Reply(VmResponse::Spec(Box::new(spec)))),
                );
            }
            VmRequest::GetMmds => return Always::operation(Operation::GetMmds),
            VmRequest::PutMmds(document) => {
                return Always::operation(Operation::PutMmds(document));
            }
            VmRequest::PatchMmds(patch) => return Always::operation(Operation::PatchMmds(patch)),
            VmRequest::GetMetrics => return Always::operation(Operation::Metrics),
            VmRequest::Stop => return Always::operation(Operation::Stop),
            later @ (VmRequest::PutPmem(_)
            | VmRequest::PatchPmem(_)
            | VmRequest::DeletePmem(_)
            | VmRequest::GetMemoryHotplug
            | VmRequest::PutMemoryHotplug(_)
            | VmRequest::PatchMemoryHotplug(_)
            | VmRequest::CreateSnapshot(_)
            | VmRequest::LoadSnapshot(_)) => {
                return Always::Answered(Err(VmFault::NotAvailable(later.name())));
            }
            other => return Always::Depends(other),
        };
        Always::Answered(Ok(Step::Reply(response)))
    }

    fn full_config(&self) -> super::wire::FullVmConfiguration {
        match &self.config {
            Config::Objects(objects) => objects.full_config(),
            Config::Spec(spec) => spec::full_config(spec),
        }
    }
}

/// What [`ConfigState::handle_always`] found.
enum Always {
    Answered(Result<Step, VmFault>),
    /// The request is allowed in some states only.
    Depends(VmRequest),
}

impl Always {
    fn operation(operation: Operation) -> Self {
        Self::Answered(Ok(Step::operate(operation, Change::None)))
    }
}
