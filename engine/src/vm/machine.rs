//! A machine of either kind, and what can be done with it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use launch::{Folder, Record};

use super::VmError;
use super::document::{Monitor, Vm, VmKind, VmState};
use super::plain::Plain;
use crate::container::{self, Container, ContainerError, moment};
use crate::sandbox;

/// A machine.
#[derive(Clone, Debug)]
pub enum Machine {
    /// One that a user asked for.
    Plain(Arc<Plain>),
    /// One that runs for a container or a pod.
    Container(Arc<Container>, sandbox::Vm),
}

/// The machines that run for containers and pods.
pub(super) fn of_containers(containers: &container::Service) -> Vec<Machine> {
    let all = containers.all().into_iter().chain(containers.pods());
    let running = all.filter_map(|container| {
        let vm = container.home_machine()?.vm();
        Some(Machine::Container(container, vm))
    });
    running.collect()
}

impl Machine {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Plain(plain) => &plain.id,
            Self::Container(container, _) => &container.id,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Plain(plain) => plain.name(),
            Self::Container(container, _) => container.name(),
        }
    }

    /// It as a running machine.
    fn running(&self) -> Result<sandbox::Vm, VmError> {
        match self {
            Self::Plain(plain) => plain.running(),
            Self::Container(_, vm) => Ok(vm.clone()),
        }
    }

    fn folder(&self) -> Folder {
        match self {
            Self::Plain(plain) => plain.folder(),
            Self::Container(_, vm) => vm.folder().clone(),
        }
    }

    /// Starts it, if it is a plain one.
    pub async fn start(&self) -> Result<(), VmError> {
        match self {
            Self::Plain(plain) => plain.start().await,
            Self::Container(..) => {
                Err(VmError::State { name: self.name(), state: "is running already" })
            }
        }
    }

    /// Has its processors stand still. Whoever talks to what is in it waits meanwhile.
    pub async fn pause(&self) -> Result<(), VmError> {
        let vm = self.running()?;
        if vm.is_paused().await? {
            return Err(VmError::State { name: self.name(), state: "is paused already" });
        }
        Ok(vm.pause().await?)
    }

    /// Lets them go on.
    pub async fn resume(&self) -> Result<(), VmError> {
        let vm = self.running()?;
        if !vm.is_paused().await? {
            return Err(VmError::State { name: self.name(), state: "is not paused" });
        }
        Ok(vm.resume().await?)
    }

    /// Asks what is in it to end, and ends it after `timeout`: a plain one by its power button, one
    /// of a container as that is stopped.
    pub async fn stop(&self, timeout: Duration) -> Result<(), VmError> {
        match self {
            Self::Plain(plain) => plain.stop(timeout).await,
            Self::Container(container, vm) => {
                if vm.is_paused().await? {
                    vm.resume().await?;
                }
                let stopped = if container.is_pod() {
                    container.stop_pod(Some(Some(timeout))).await
                } else {
                    container.stop(None, Some(Some(timeout))).await
                };
                match stopped {
                    Ok(()) | Err(ContainerError::Unchanged) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Ends it at once, whatever is in it.
    pub async fn kill(&self) -> Result<(), VmError> {
        match self {
            Self::Plain(plain) => plain.kill().await,
            Self::Container(_, vm) => Ok(vm.kill().await.map(drop)?),
        }
    }

    /// Removes it, if it is a plain one.
    pub async fn remove(&self, force: bool) -> Result<(), VmError> {
        match self {
            Self::Plain(plain) => plain.remove(force).await,
            Self::Container(..) => Err(VmError::Owned(self.name())),
        }
    }

    /// Its monitor's metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> Result<String, VmError> {
        Ok(self.running()?.metrics().await?)
    }

    /// What its monitor has recorded of what happened, since its last start.
    #[must_use]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let events = sandbox::events(&self.folder());
        events.into_iter().filter_map(|event| serde_json::to_value(event).ok()).collect()
    }

    /// What its monitor has logged since its last start.
    pub fn log(&self) -> Result<String, VmError> {
        self.file(&self.folder().log_file())
    }

    /// What its console has said since its last start.
    pub fn console(&self) -> Result<String, VmError> {
        self.file(&sandbox::console_file(&self.folder()))
    }

    fn file(&self, path: &std::path::Path) -> Result<String, VmError> {
        match fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            // It was not started since the host was.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => {
                Err(VmError::Folder { what: "read a log of", name: self.name(), source })
            }
        }
    }

    /// The document that its monitor made it of, if it was started.
    pub fn spec(&self) -> Result<vm_spec::VmSpec, VmError> {
        let never = || VmError::State { name: self.name(), state: "was not started yet" };
        let text = fs::read(self.folder().spec_file()).map_err(|_| never())?;
        serde_json::from_slice(&text).map_err(|_| never())
    }

    /// It as clients see it.
    pub async fn document(&self) -> Vm {
        let vm = self.running().ok();
        let mut document = match self {
            Self::Plain(plain) => of_plain(plain),
            Self::Container(container, _) => self.of_container(container),
        };
        if let Some(vm) = vm {
            // A monitor that does not answer runs all the same.
            let paused = vm.is_paused().await.unwrap_or(false);
            document.state = if paused { VmState::Paused } else { VmState::Running };
            document.monitor = monitor(vm.folder());
        }
        document
    }

    fn of_container(&self, container: &Container) -> Vm {
        let record = container.record();
        let spec = self.spec().ok();
        let containers = if container.is_pod() {
            container.members().iter().map(|member| member.id.clone()).collect()
        } else {
            vec![record.id.clone()]
        };
        let started = record.state.started_ns;
        Vm {
            id: record.id,
            name: record.name,
            kind: if container.is_pod() { VmKind::Pod } else { VmKind::Container },
            state: VmState::Running,
            created: moment::shortest(moment::from_nanos(record.created_ns)),
            started: (started > 0).then(|| moment::shortest(moment::from_nanos(started))),
            cpus: spec.as_ref().map_or(0, |spec| spec.cpu.count),
            memory_mib: spec.as_ref().map_or(0, |spec| spec.memory.size.0),
            kernel: spec.map(|spec| spec.boot.kernel.display().to_string()).unwrap_or_default(),
            labels: record.config.labels.unwrap_or_default().into_iter().collect(),
            containers,
            monitor: None,
            end: None,
        }
    }
}

fn of_plain(plain: &Plain) -> Vm {
    let record = plain.record();
    let started = record.started_ns;
    let default = vm_spec::MemorySpec::default().size.0;
    Vm {
        id: record.id,
        name: record.name,
        kind: VmKind::Plain,
        state: record.state,
        created: moment::shortest(moment::from_nanos(record.created_ns)),
        started: (started > 0).then(|| moment::shortest(moment::from_nanos(started))),
        cpus: record.request.cpus.unwrap_or(1),
        memory_mib: record.request.memory_mib.unwrap_or(default),
        kernel: record.request.kernel.display().to_string(),
        labels: record.request.labels,
        containers: Vec::new(),
        monitor: None,
        end: record.end,
    }
}

fn monitor(folder: &Folder) -> Option<Monitor> {
    let Record { monitor, .. } = folder.record().ok()?;
    Some(Monitor {
        pid: monitor?.pid,
        api_socket: folder.api_socket().display().to_string(),
        vsock_socket: folder.vsock_socket().display().to_string(),
    })
}
