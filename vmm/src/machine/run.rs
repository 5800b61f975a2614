//! A complete machine and the loop of its owner.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use devices::legacy::GuestRequest;
use devices::memory::Memory;
use log::warn;
use vm_memory::GuestAddressSpace;
use vm_spec::MachineEnd;

use super::board::Devices;
use super::control::Control;
use super::ended::Ended;
use super::phases::Phases;
use super::requests::Message;
use crate::kvm::Vm;
use crate::memory::slots;
use crate::vcpu::run::Buses;
use crate::vcpu::{Exits, VcpuHandle};

/// How long a guest whose kernel panicked may go on: to print the rest of its message.
const LAST_WORDS: Duration = Duration::from_millis(600);

/// Whether the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not, but could.
    Paused,
    /// It does.
    Running,
}

/// A vCPU is gone, so the machine is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vCPU {0} has ended")]
pub struct StateError(pub u8);

/// A machine.
pub struct Machine {
    // Dropped in this order: the vCPUs stop before anything that they use goes.
    vcpus: Vec<VcpuHandle>,
    devices: Box<dyn Devices>,
    buses: Buses,
    vm: Vm,
    memory: Memory,
    phases: Arc<Phases>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    state: State,
    power_button_pressed: bool,
    panicked: Option<Instant>,
    ended: Option<Ended>,
}

impl Machine {
    pub(super) fn new(
        vcpus: Vec<VcpuHandle>,
        devices: Box<dyn Devices>,
        buses: Buses,
        (vm, memory): (Vm, Memory),
        phases: Arc<Phases>,
        (sender, messages): (Sender<Message>, Receiver<Message>),
    ) -> Self {
        Self {
            vcpus,
            devices,
            buses,
            vm,
            memory,
            phases,
            messages,
            sender,
            state: State::Paused,
            power_button_pressed: false,
            panicked: None,
            ended: None,
        }
    }

    /// A handle for commands from other threads.
    pub fn control(&self) -> Control {
        Control(self.sender.clone())
    }

    /// Serves commands and the guest's requests until the machine ends. It starts in the state
    /// it is in: paused, unless [`resume`](Self::resume) was called.
    ///
    /// When this returns, no vCPU runs any more.
    pub fn run(mut self) -> Ended {
        loop {
            if let Some(ended) = self.ended.take() {
                self.halt();
                return ended;
            }
            match self.next_message() {
                Some(message) => self.handle(message),
                None => self.finish(MachineEnd::Panic),
            }
        }
    }

    /// The next message; `None` when a panicked guest has had its time.
    fn next_message(&self) -> Option<Message> {
        let Some(panicked) = self.panicked else {
            // `self.sender` keeps the channel open.
            return self.messages.recv().ok();
        };
        let left = LAST_WORDS.saturating_sub(panicked.elapsed());
        self.messages.recv_timeout(left).ok()
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Call(work) => work(self),
            Message::Guest(GuestRequest::Panicked) => {
                self.panicked.get_or_insert_with(Instant::now);
            }
            Message::Guest(GuestRequest::PowerOff) if self.power_button_pressed => {
                self.finish(MachineEnd::PowerButton);
            }
            Message::Guest(GuestRequest::PowerOff) => self.finish(MachineEnd::PowerOff),
            Message::Guest(GuestRequest::Reset) => self.finish(MachineEnd::Reboot),
            Message::Vcpu(index, end) => {
                let mut ended = Ended::by_vcpu(index, end);
                if self.panicked.is_some() && ended.end == MachineEnd::TripleFault {
                    // One way of a kernel to restart after its panic.
                    ended.end = MachineEnd::Panic;
                }
                self.ended.get_or_insert(ended);
            }
        }
    }

    /// Notes the end. After a panic every end of the guest's own is that of the panic.
    fn finish(&mut self, end: MachineEnd) {
        let end = if self.panicked.is_some() { MachineEnd::Panic } else { end };
        self.ended.get_or_insert(Ended::plain(end));
    }

    /// Stops all vCPUs, waits for their threads and takes memory from KVM.
    fn halt(&mut self) {
        self.vcpus.iter().for_each(VcpuHandle::request_stop);
        self.vcpus.clear();
        slots::unregister(self.vm.ioctls(), &self.memory.memory());
    }

    /// Whether the guest runs.
    pub fn state(&self) -> State {
        self.state
    }

    /// Pauses vCPUs, then devices. Nothing happens when they are.
    ///
    /// # Errors
    /// When a vCPU has ended.
    pub fn pause(&mut self) -> Result<(), StateError> {
        if self.state == State::Paused {
            return Ok(());
        }
        let answers: Vec<_> = self.vcpus.iter().map(VcpuHandle::pause).collect();
        for (index, answer) in (0..).zip(answers) {
            answer.recv().map_err(|_| StateError(index))?;
        }
        self.devices.pause();
        self.state = State::Paused;
        Ok(())
    }

    /// Starts devices, then vCPUs. Nothing happens when they run.
    ///
    /// # Errors
    /// When a vCPU has ended.
    pub fn resume(&mut self) -> Result<(), StateError> {
        if self.state == State::Running {
            return Ok(());
        }
        self.devices.resume();
        for (index, vcpu) in (0..).zip(&self.vcpus) {
            vcpu.resume().map_err(|_| StateError(index))?;
        }
        self.state = State::Running;
        Ok(())
    }

    /// Ends the machine without asking the guest.
    pub fn stop(&mut self) {
        self.ended.get_or_insert(Ended::plain(MachineEnd::Stopped));
    }

    /// Presses the power button.
    pub fn press_power_button(&mut self) {
        if self.state == State::Paused {
            warn!("The power button is pressed while the guest is paused");
        }
        self.power_button_pressed = true;
        self.devices.press_power_button();
    }

    /// Types Ctrl-Alt-Del.
    pub fn press_ctrl_alt_del(&self) {
        self.devices.press_ctrl_alt_del();
    }

    /// Guest memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// When what was reached.
    pub fn phases(&self) -> &Arc<Phases> {
        &self.phases
    }

    /// Exits to user space of each vCPU.
    pub fn exits(&self) -> Vec<Arc<Exits>> {
        self.vcpus.iter().map(|vcpu| Arc::clone(vcpu.exits())).collect()
    }

    /// Where guests' accesses go.
    pub fn buses(&self) -> &Buses {
        &self.buses
    }
}
