//! Commands to a machine, from any thread.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::requests::Message;
use super::run::{Machine, StateError};

/// The machine has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine has ended")]
pub struct MachineGone;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No machine.
    #[error(transparent)]
    Gone(#[from] MachineGone),
    /// Not in this state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A handle for commands. Cheap to clone.
#[derive(Clone)]
pub struct Control(pub(super) Sender<Message>);

impl Control {
    /// Runs `work` on the machine's own thread and waits for what it returns.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> R + Send + 'static,
    ) -> Result<R, MachineGone> {
        self.post(work)?.recv().map_err(|_| MachineGone)
    }

    /// Has `work` run on the machine's own thread; the receiver gets what it returns, or
    /// disconnects when the machine ends first.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn post<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> R + Send + 'static,
    ) -> Result<Receiver<R>, MachineGone> {
        let (reply, answer) = channel();
        let work = Box::new(move |machine: &mut Machine| drop(reply.send(work(machine))));
        self.0.send(Message::Call(work)).map_err(|_| MachineGone)?;
        Ok(answer)
    }

    /// Pauses vCPUs, then devices.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn pause(&self) -> Result<(), ControlError> {
        Ok(self.call(Machine::pause)??)
    }

    /// Starts devices, then vCPUs.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn resume(&self) -> Result<(), ControlError> {
        Ok(self.call(Machine::resume)??)
    }

    /// Ends the machine without asking the guest.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn stop(&self) -> Result<(), MachineGone> {
        self.call(Machine::stop)
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn press_power_button(&self) -> Result<(), MachineGone> {
        self.call(Machine::press_power_button)
    }

    /// Types Ctrl-Alt-Del.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn press_ctrl_alt_del(&self) -> Result<(), MachineGone> {
        self.call(|machine| machine.press_ctrl_alt_del())
    }
}
