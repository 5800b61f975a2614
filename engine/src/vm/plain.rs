//! A plain machine, live.
//!
//! ```text
//!           start                     ends (or stop, kill)
//!  created ───────► running ⇄ paused ──────────────────────► ended ──start──► running
//!  created, ended ──remove──► (gone)
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::document::{VmEnd, VmState};
use super::record::VmRecord;
use super::{Ground, VmError, request};
use crate::container::live::lock;
use crate::container::moment;
use crate::events::{Actor, Kind};
use crate::http::error::chain;
use crate::sandbox::{Booting, SandboxError, Vm};

/// A plain machine. Whatever changes its life holds `operation`; short locks guard the data.
#[derive(Debug)]
pub struct Plain {
    /// Its id, which never changes.
    pub id: String,
    ground: Arc<Ground>,
    record: Mutex<VmRecord>,
    /// The machine while it runs, and until its end is written down.
    vm: watch::Sender<Option<Vm>>,
    operation: tokio::sync::Mutex<()>,
}

impl Plain {
    pub(super) fn new(ground: Arc<Ground>, record: VmRecord) -> Arc<Self> {
        Arc::new(Self {
            id: record.id.clone(),
            ground,
            record: Mutex::new(record),
            vm: watch::Sender::new(None),
            operation: tokio::sync::Mutex::default(),
        })
    }

    /// A copy of its record.
    #[must_use]
    pub fn record(&self) -> VmRecord {
        lock(&self.record).clone()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        lock(&self.record).name.clone()
    }

    /// The machine, if it runs.
    #[must_use]
    pub fn vm(&self) -> Option<Vm> {
        self.vm.borrow().clone()
    }

    /// The machine; an error if it does not run.
    pub fn running(&self) -> Result<Vm, VmError> {
        self.vm().ok_or_else(|| self.state("is not running"))
    }

    /// Its folder on the host.
    #[must_use]
    pub fn folder(&self) -> launch::Folder {
        self.ground.sandboxes.folder(&self.id)
    }

    fn state(&self, state: &'static str) -> VmError {
        VmError::State { name: self.name(), state }
    }

    async fn change(&self, change: impl FnOnce(&mut VmRecord)) -> Result<(), VmError> {
        change(&mut lock(&self.record));
        self.write_down().await
    }

    pub(super) async fn write_down(&self) -> Result<(), VmError> {
        let record = self.record();
        let written = self.ground.table.put(&self.id, &record).await;
        written.map_err(|error| VmError::Store(chain(&error)))
    }

    /// As [`Self::change`], where nobody waits for an answer.
    async fn note(&self, change: impl FnOnce(&mut VmRecord)) {
        if let Err(error) = self.change(change).await {
            log::error!("machine {}: {error}", self.id);
        }
    }

    /// Starts it: done when its monitor serves. It goes on where nobody waits for that any more.
    pub async fn start(self: &Arc<Self>) -> Result<(), VmError> {
        let _operation = self.operation.lock().await;
        if self.vm().is_some() {
            return Err(self.state("is running already"));
        }
        if !self.ground.is_known(&self.id) {
            return Err(VmError::NotFound(self.id.clone()));
        }
        let record = self.record();
        let document = request::document(&record.request, &self.folder())?;
        let started = moment::now_ns();
        self.change(|record| {
            record.state = VmState::Running;
            record.started_ns = started;
            record.end = None;
        })
        .await?;
        let begun = match self.ground.sandboxes.boot(&self.id, &document) {
            Ok(booting) => self.see_through(booting).await,
            Err(source) => {
                self.has_not_begun(VmEnd { message: chain(&source), ..VmEnd::default() }).await;
                Err(source)
            }
        };
        begun.map_err(|source| VmError::Start { name: record.name, source })
    }

    /// Sees a machine from its start to its end, and tells of how it began.
    async fn see_through(self: &Arc<Self>, booting: Booting) -> Result<(), SandboxError> {
        let (plain, vm) = (Arc::clone(self), booting.vm().clone());
        self.vm.send_replace(Some(vm.clone()));
        let (teller, told) = oneshot::channel();
        tokio::spawn(async move {
            let begun = booting.serves().await;
            match &begun {
                Ok(()) => {
                    plain.emit("start");
                    plain.look_after(vm);
                }
                Err(error) => {
                    if vm.end().is_none()
                        && let Err(error) = vm.kill().await
                    {
                        log::error!("machine {}: {}", plain.id, chain(&error));
                    }
                    let message = chain(error);
                    let end = vm.end().map_or_else(VmEnd::default, |end| VmEnd::from(&*end));
                    plain.has_not_begun(VmEnd { message, ..end }).await;
                }
            }
            // Nobody may want to know.
            let _ = teller.send(begun);
        });
        match told.await {
            Ok(begun) => begun,
            // The engine ends, and nobody is told of anything.
            Err(_) => std::future::pending().await,
        }
    }

    /// Writes down why it does not run.
    async fn has_not_begun(&self, end: VmEnd) {
        self.note(|record| {
            record.state = VmState::Ended;
            record.end = Some(end);
        })
        .await;
        self.vm.send_replace(None);
    }

    /// Looks after its machine again, or writes down that it ended.
    pub(super) async fn find_again(self: &Arc<Self>) {
        if self.record().state != VmState::Running {
            return;
        }
        match self.ground.sandboxes.find(&self.id) {
            Ok(Some(vm)) => self.look_after(vm),
            Ok(None) => {
                let end = VmEnd::from(&launch::EndRecord::of(&self.folder()));
                self.ended(end).await;
            }
            Err(error) => {
                log::error!("machine {}: {}", self.id, chain(&error));
                self.ended(VmEnd { message: chain(&error), ..VmEnd::default() }).await;
            }
        }
    }

    /// Sees it to its end.
    fn look_after(self: &Arc<Self>, vm: Vm) {
        self.vm.send_replace(Some(vm.clone()));
        let plain = Arc::clone(self);
        tokio::spawn(async move {
            let end = VmEnd::from(&*vm.ended().await);
            plain.ended(end).await;
        });
    }

    async fn ended(&self, end: VmEnd) {
        self.note(|record| {
            record.state = VmState::Ended;
            record.end = Some(end);
        })
        .await;
        self.vm.send_replace(None);
        self.emit("die");
    }

    /// Presses its power button, and ends it after `timeout`.
    pub async fn stop(&self, timeout: Duration) -> Result<(), VmError> {
        let _operation = self.operation.lock().await;
        let vm = self.running()?;
        // A guest that stands still does not feel its button.
        if vm.is_paused().await.unwrap_or(false) {
            vm.resume().await?;
        }
        vm.press_power_button(timeout).await?;
        self.settled().await;
        self.emit("stop");
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(&self) -> Result<(), VmError> {
        let _operation = self.operation.lock().await;
        self.running()?.kill().await?;
        self.settled().await;
        Ok(())
    }

    /// Waits until its end is written down.
    async fn settled(&self) {
        // It fails where the sender is gone, which is this value's.
        let _ = self.vm.subscribe().wait_for(Option::is_none).await;
    }

    /// Removes it; by `force` also one that runs.
    pub async fn remove(&self, force: bool) -> Result<(), VmError> {
        let _operation = self.operation.lock().await;
        if !self.ground.is_known(&self.id) {
            return Err(VmError::NotFound(self.id.clone()));
        }
        if let Some(vm) = self.vm() {
            if !force {
                return Err(self.state("is running: stop it before, or remove it by force"));
            }
            vm.kill().await?;
            self.settled().await;
        }
        let ended = self.ground.sandboxes.end(&self.id).await;
        ended.map_err(|source| VmError::Start { name: self.name(), source })?;
        let removed = self.ground.table.remove(&self.id).await;
        removed.map_err(|error| VmError::Store(chain(&error)))?;
        self.ground.forget(&self.id);
        self.emit("destroy");
        Ok(())
    }

    /// Tells of an event.
    pub(super) fn emit(&self, action: &str) {
        let record = self.record();
        let mut actor = Actor::new(&self.id).with("name", &record.name);
        for (name, value) in record.request.labels {
            actor = actor.with(&name, value);
        }
        self.ground.events.emit(Kind::Vm, action, actor);
    }
}
