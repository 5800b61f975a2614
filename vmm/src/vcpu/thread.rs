//! A vCPU's thread, seen from outside.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use vmm_sys_util::signal::Killable;

use super::end::VcpuEnd;
use super::exits::Exits;
use super::kick::{self, ImmediateExit};
use super::run::{Buses, Command, MachineWide, Vcpu};
use super::setup::{SetupError, VcpuSetup};
use crate::boot::Entry;
use crate::x86_64::registers::RegistersError;

/// Why a vCPU could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host gives no thread.
    #[error("Failed to start the thread of vCPU {index}")]
    Spawn {
        /// Which.
        index: u8,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// The handler of the kick signal was refused.
    #[error("Failed to install the signal handler of vCPUs")]
    Handler(#[source] vmm_sys_util::errno::Error),
    /// Making the vCPU failed.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its registers.
    #[error(transparent)]
    Registers(#[from] RegistersError),
    /// Its thread is gone.
    #[error("The thread of vCPU {index} is gone")]
    Gone {
        /// Which.
        index: u8,
    },
}

/// Called on the vCPU's thread when it comes to an end by itself.
pub type OnEnd = Box<dyn FnOnce(VcpuEnd) + Send>;

/// A vCPU on its thread, paused until told to run. Dropping it ends the thread.
#[derive(Debug)]
pub struct VcpuHandle {
    index: u8,
    thread: Option<JoinHandle<()>>,
    commands: Sender<Command>,
    ready: Option<Receiver<Result<Arc<ImmediateExit>, SetupError>>>,
    immediate_exit: Option<Arc<ImmediateExit>>,
    exits: Arc<Exits>,
}

impl VcpuHandle {
    /// Starts the thread of vCPU `index`, which makes the vCPU while the caller does other
    /// things. [`wait_ready`](Self::wait_ready) tells how that went.
    ///
    /// # Errors
    /// When the host refuses the thread or the signal handler.
    pub fn spawn(
        index: u8,
        setup: VcpuSetup,
        buses: Receiver<Buses>,
        machine: MachineWide,
        on_end: OnEnd,
    ) -> Result<Self, StartError> {
        kick::install_handler().map_err(StartError::Handler)?;
        let (commands, receiver) = mpsc::channel();
        let (report, ready) = mpsc::channel();
        let exits = Arc::new(Exits::default());
        let its_exits = Arc::clone(&exits);
        let body = move || {
            let (fd, immediate_exit) = match setup.create(index) {
                Ok((fd, exit)) => (fd, Arc::new(exit)),
                Err(error) => return drop(report.send(Err(error))),
            };
            drop(report.send(Ok(Arc::clone(&immediate_exit))));
            // No buses: the machine was given up before it was complete.
            let Ok(buses) = buses.recv() else { return };
            let mut vcpu = Vcpu {
                fd,
                immediate_exit,
                commands: receiver,
                buses,
                exits: its_exits,
                machine,
                confine: Some(setup.confine),
            };
            if let Some(end) = vcpu.run() {
                on_end(end);
            }
        };
        let thread = thread::Builder::new()
            .name(format!("vcpu{index}"))
            .spawn(body)
            .map_err(|source| StartError::Spawn { index, source })?;
        Ok(Self {
            index,
            thread: Some(thread),
            commands,
            ready: Some(ready),
            immediate_exit: None,
            exits,
        })
    }

    /// Waits until the vCPU is made.
    ///
    /// # Errors
    /// When making it failed.
    pub fn wait_ready(&mut self) -> Result<(), StartError> {
        if let Some(ready) = self.ready.take() {
            let made = ready.recv().map_err(|_| StartError::Gone { index: self.index })?;
            self.immediate_exit = Some(made?);
        }
        Ok(())
    }

    /// Puts the boot processor at `entry`.
    ///
    /// # Errors
    /// When KVM refuses the registers.
    pub fn enter(&self, entry: Entry, cr3: u64) -> Result<(), StartError> {
        let (reply, answer) = mpsc::channel();
        self.send(Command::Enter { entry, cr3, reply })?;
        let set = answer.recv().map_err(|_| StartError::Gone { index: self.index })?;
        Ok(set?)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// When its thread is gone.
    pub fn resume(&self) -> Result<(), StartError> {
        self.send(Command::Resume)
    }

    /// Asks it to pause. The receiver hears when it does, or disconnects when it is gone.
    pub fn pause(&self) -> Receiver<()> {
        let (reply, answer) = mpsc::channel();
        if self.send(Command::Pause(reply)).is_ok() {
            self.kick();
        }
        answer
    }

    /// Exits by reason.
    pub fn exits(&self) -> &Arc<Exits> {
        &self.exits
    }

    fn send(&self, command: Command) -> Result<(), StartError> {
        self.commands.send(command).map_err(|_| StartError::Gone { index: self.index })
    }

    fn kick(&self) {
        let Some(immediate_exit) = &self.immediate_exit else { return };
        immediate_exit.set(true);
        if let Some(thread) = &self.thread
            && let Err(error) = thread.kill(kick::signal())
        {
            log::debug!("Failed to signal vCPU {}: {error}", self.index);
        }
    }

    /// Tells it to stop, without waiting.
    pub fn request_stop(&self) {
        if self.send(Command::Stop).is_ok() {
            self.kick();
        }
    }
}

impl Drop for VcpuHandle {
    fn drop(&mut self) {
        let _ = self.wait_ready();
        self.request_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("The thread of vCPU {} panicked", self.index);
        }
    }
}
