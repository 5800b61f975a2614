//! A container, live: its record, its streams, and the machine that it runs in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::health::HealthState;
use super::home::Lodging;
use super::machine::Machine;
use super::record::{ContainerRecord, Phase};
use super::spec::ContainerSpec;
use super::streams::Streams;
use super::{ContainerError, Ground};
use crate::events::{Actor, Kind};
use crate::start_times::StartTimes;

/// What those wait for who wait for a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub phase: Phase,
    /// How often it ended.
    pub ends: u64,
    /// Of the last end.
    pub exit_code: i64,
    /// It is gone.
    pub removed: bool,
}

/// A container. Whatever changes its life holds `operation`; short locks guard the data.
#[derive(Debug)]
pub struct Container {
    /// Its id, which never changes.
    pub id: String,
    pub(super) ground: Arc<Ground>,
    record: Mutex<ContainerRecord>,
    spec: Mutex<Arc<ContainerSpec>>,
    run: Mutex<Option<Arc<Run>>>,
    pub(super) health: Mutex<Option<HealthState>>,
    /// One change of life at a time.
    pub(super) operation: Arc<tokio::sync::Mutex<()>>,
    /// Held while the record is changed and written down: what is written last is what is true.
    pub(super) writing: tokio::sync::Mutex<()>,
    pub(super) progress: watch::Sender<Progress>,
    /// Its machine, if it is at home in itself.
    pub(super) lodging: Mutex<Option<Lodging>>,
    /// Held while that is started or ended.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// Wakes what waits to start it again.
    pub(super) give_up: Notify,
    /// Its streams.
    pub streams: Streams,
    /// Of its latest start.
    start_times: Mutex<Arc<StartTimes>>,
}

/// A run of a container: from its start to its end.
#[derive(Debug)]
pub struct Run {
    /// The machine.
    pub machine: Machine,
    /// The first process's session.
    pub session: u64,
    /// When it began.
    pub began: tokio::time::Instant,
    /// Somebody asked it to end, so that it is not started again.
    pub ending: AtomicBool,
}

impl Run {
    /// It is not to be started again when it ends.
    pub(super) fn set_ending(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

impl Container {
    pub(super) fn new(
        ground: Arc<Ground>,
        record: ContainerRecord,
    ) -> Result<Arc<Self>, ContainerError> {
        let spec = record.spec()?;
        let folder = ground.paths.container(&record.id);
        let log = super::logs::Log::new(&folder, &record.id, spec.log);
        let progress = Progress {
            phase: record.state.phase,
            exit_code: record.state.exit_code,
            ..Progress::default()
        };
        Ok(Arc::new(Self {
            id: record.id.clone(),
            ground,
            record: Mutex::new(record),
            spec: Mutex::new(Arc::new(spec)),
            run: Mutex::new(None),
            health: Mutex::new(None),
            operation: Arc::default(),
            writing: tokio::sync::Mutex::default(),
            progress: watch::Sender::new(progress),
            lodging: Mutex::new(None),
            opening: tokio::sync::Mutex::default(),
            give_up: Notify::new(),
            streams: Streams::new(log),
            start_times: Mutex::new(Arc::new(StartTimes::begin())),
        }))
    }

    /// The times of its latest start.
    #[must_use]
    pub fn start_times(&self) -> Arc<StartTimes> {
        Arc::clone(&lock(&self.start_times))
    }

    /// A start begins.
    pub(super) fn time_start(&self) -> Arc<StartTimes> {
        let times = Arc::new(StartTimes::begin());
        *lock(&self.start_times) = Arc::clone(&times);
        times
    }

    /// A copy of its record.
    #[must_use]
    pub fn record(&self) -> ContainerRecord {
        lock(&self.record).clone()
    }

    /// Looks at its record.
    pub fn with_record<R>(&self, look: impl FnOnce(&ContainerRecord) -> R) -> R {
        look(&lock(&self.record))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.with_record(|record| record.name.clone())
    }

    /// Its state.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.with_record(|record| record.state.phase)
    }

    /// What it is.
    #[must_use]
    pub fn spec(&self) -> Arc<ContainerSpec> {
        Arc::clone(&lock(&self.spec))
    }

    /// Its folder: writable disk and log.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.ground.paths.container(&self.id)
    }

    /// Its run, if it has one.
    #[must_use]
    pub fn run(&self) -> Option<Arc<Run>> {
        lock(&self.run).clone()
    }

    /// Its run; an error with Docker's words if it has none.
    pub fn running(&self) -> Result<Arc<Run>, ContainerError> {
        self.run().ok_or_else(|| {
            ContainerError::Conflict(format!("container {} is not running", self.id))
        })
    }

    pub(super) fn set_run(&self, run: Option<Arc<Run>>) {
        *lock(&self.run) = run;
    }

    /// Changes the record and writes it down. The change holds even where it cannot be written:
    /// what is true of the guest stays true.
    ///
    /// # Errors
    ///
    /// [`ContainerError::NotFound`] where it was removed meanwhile: its record stays away.
    pub(super) async fn change<R>(
        &self,
        change: impl FnOnce(&mut ContainerRecord) -> R,
    ) -> Result<R, ContainerError> {
        let _writing = self.writing.lock().await;
        if self.is_removed() {
            return Err(self.is_gone());
        }
        let (result, record) = {
            let mut record = lock(&self.record);
            let result = change(&mut record);
            (result, record.clone())
        };
        self.progress.send_modify(|progress| {
            progress.phase = record.state.phase;
            progress.exit_code = record.state.exit_code;
        });
        let written = self.ground.table.put(&self.id, &record).await;
        written.map_err(|error| ContainerError::Store(crate::http::error::chain(&error)))?;
        Ok(result)
    }

    /// As [`Self::change`], where nobody waits for an answer.
    pub(super) async fn note(&self, change: impl FnOnce(&mut ContainerRecord)) {
        match self.change(change).await {
            // There is nothing left to note it of.
            Ok(()) | Err(ContainerError::NotFound(_) | ContainerError::NoPod(_)) => {}
            Err(error) => log::error!("container {}: {error}", self.id),
        }
    }

    fn is_gone(&self) -> ContainerError {
        let id = self.id.clone();
        if self.is_pod() { ContainerError::NoPod(id) } else { ContainerError::NotFound(id) }
    }

    /// Reads the specification anew after the record changed.
    pub(super) fn read_spec(&self) -> Result<(), ContainerError> {
        let spec = self.with_record(ContainerRecord::spec)?;
        *lock(&self.spec) = Arc::new(spec);
        Ok(())
    }

    /// Whether it is gone.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.progress.borrow().removed
    }

    /// Tells of something that was done with it.
    pub fn tell(&self, action: &str) {
        self.emit(action, &[]);
    }

    /// Tells of an event.
    pub(super) fn emit(&self, action: impl Into<String>, more: &[(&str, String)]) {
        let mut attributes = self.with_record(ContainerRecord::attributes);
        for (name, value) in more {
            attributes.insert((*name).to_owned(), value.clone());
        }
        let actor = Actor { id: self.id.clone(), attributes };
        let kind = if self.is_pod() { Kind::Pod } else { Kind::Container };
        self.ground.events.emit(kind, action, actor);
    }
}

/// A lock whose holder panicked still holds whole data: each change is one assignment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
