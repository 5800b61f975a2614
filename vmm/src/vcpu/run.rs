//! The loop of a vCPU's thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use devices::bus::Bus;
use kvm_bindings::{
    KVM_EXIT_FAIL_ENTRY, KVM_EXIT_HLT, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_INTR, KVM_EXIT_IO,
    KVM_EXIT_MEMORY_FAULT, KVM_EXIT_MMIO, KVM_EXIT_SHUTDOWN, KVM_EXIT_SYSTEM_EVENT,
};
use kvm_ioctls::VcpuFd;

use super::end::VcpuEnd;
use super::exits::Exits;
use super::kick::ImmediateExit;
use super::run_page;
use crate::boot::Entry;
use crate::machine::phases::{Phase, Phases};
use crate::x86_64::registers::{self, RegistersError};

/// What a vCPU's thread is told.
pub(super) enum Command {
    /// Sets the registers to `entry`; the boot processor only.
    Enter { entry: Entry, cr3: u64, reply: Sender<Result<(), RegistersError>> },
    /// Runs.
    Resume,
    /// Stops running and says so.
    Pause(Sender<()>),
    /// Ends the thread.
    Stop,
}

/// Where a guest's accesses go.
#[derive(Clone, Debug)]
pub struct Buses {
    /// I/O ports.
    pub ports: Arc<Bus>,
    /// Memory-mapped registers.
    pub mmio: Arc<Bus>,
}

/// What the vCPUs share with the machine.
#[derive(Clone, Debug)]
pub struct MachineWide {
    /// Notes when the guest is first entered.
    pub phases: Arc<Phases>,
    /// The guest has asked for the machine's end: no vCPU goes on.
    pub over: Arc<AtomicBool>,
}

/// A vCPU on its own thread.
pub(super) struct Vcpu {
    pub(super) fd: VcpuFd,
    pub(super) immediate_exit: Arc<ImmediateExit>,
    pub(super) commands: Receiver<Command>,
    pub(super) buses: Buses,
    pub(super) exits: Arc<Exits>,
    pub(super) machine: MachineWide,
    /// Confines this thread; called before the guest is first entered.
    pub(super) confine: Option<Arc<dyn Fn() + Send + Sync>>,
}

enum State {
    Paused,
    Running,
    Stopped,
}

impl Vcpu {
    /// Obeys and runs until told to stop (`None`) or the vCPU comes to an end by itself.
    pub(super) fn run(&mut self) -> Option<VcpuEnd> {
        let mut state = State::Paused;
        loop {
            state = match state {
                State::Paused => match self.commands.recv() {
                    Ok(command) => self.obey(State::Paused, command),
                    // Nobody is left who could want it to run.
                    Err(_) => State::Stopped,
                },
                State::Running => match self.enter_guest() {
                    Ok(()) if self.is_over() => State::Paused,
                    Ok(()) => self.obey_all(),
                    Err(end) => return Some(end),
                },
                State::Stopped => return None,
            };
        }
    }

    fn obey(&self, state: State, command: Command) -> State {
        match command {
            Command::Enter { entry, cr3, reply } => {
                let _ = reply.send(registers::set(&self.fd, entry, cr3));
                state
            }
            Command::Resume => State::Running,
            Command::Pause(reply) => {
                // Whoever asked may have gone; the vCPU is paused all the same.
                let _ = reply.send(());
                State::Paused
            }
            Command::Stop => State::Stopped,
        }
    }

    /// Takes every command that waits, after a kick.
    fn obey_all(&self) -> State {
        // Cleared first: a command after this comes with a kick of its own.
        self.immediate_exit.set(false);
        let mut state = State::Running;
        loop {
            match self.commands.try_recv() {
                Ok(command) => state = self.obey(state, command),
                Err(TryRecvError::Empty) => return state,
                Err(TryRecvError::Disconnected) => return State::Stopped,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.machine.over.load(Ordering::Acquire)
    }

    /// Runs the guest and serves its exits until the thread is kicked or the machine is to end.
    fn enter_guest(&mut self) -> Result<(), VcpuEnd> {
        if let Some(confine) = self.confine.take() {
            confine();
            self.machine.phases.reach(Phase::Entered);
        }
        while !self.is_over() {
            if let Err(error) = self.fd.run().map(|_| ()) {
                match error.errno() {
                    // KVM completes what the last exit left undone before it says this.
                    libc::EINTR => {
                        self.exits.interrupted.increment();
                        return Ok(());
                    }
                    libc::EAGAIN => continue,
                    errno => return Err(VcpuEnd::Run(io::Error::from_raw_os_error(errno))),
                }
            }
            self.serve_exit()?;
        }
        Ok(())
    }

    fn serve_exit(&mut self) -> Result<(), VcpuEnd> {
        match self.fd.get_kvm_run().exit_reason {
            KVM_EXIT_IO => self.serve_port(),
            KVM_EXIT_MMIO => self.serve_mmio(),
            // The kernel's LAPIC waits in `hlt`; this comes only without one.
            KVM_EXIT_HLT | KVM_EXIT_INTR => self.exits.other.increment(),
            reason => {
                self.exits.other.increment();
                return Err(self.end(reason));
            }
        }
        Ok(())
    }

    fn serve_port(&mut self) {
        let access = run_page::port_access(self.fd.get_kvm_run());
        let port = u64::from(access.port);
        if access.read {
            self.exits.port_in.increment();
            for data in access.data.chunks_mut(access.width) {
                self.buses.ports.read(port, data);
            }
        } else {
            self.exits.port_out.increment();
            for data in access.data.chunks(access.width) {
                self.buses.ports.write(port, data);
            }
        }
    }

    fn serve_mmio(&mut self) {
        let access = run_page::mmio_access(self.fd.get_kvm_run());
        if access.read {
            self.exits.mmio_read.increment();
            self.buses.mmio.read(access.address, access.data);
        } else {
            self.exits.mmio_write.increment();
            self.buses.mmio.write(access.address, access.data);
        }
    }

    /// What an exit that ends the vCPU means.
    fn end(&mut self, reason: u32) -> VcpuEnd {
        // Only for the message: if even this fails, 0 stands for unknown.
        let rip = self.fd.get_regs().map(|regs| regs.rip).unwrap_or_default();
        let run = self.fd.get_kvm_run();
        match reason {
            KVM_EXIT_SHUTDOWN => VcpuEnd::TripleFault { rip },
            KVM_EXIT_INTERNAL_ERROR => VcpuEnd::InternalError(run_page::internal_error(run, rip)),
            KVM_EXIT_FAIL_ENTRY => {
                let (reason, cpu) = run_page::failed_entry(run);
                VcpuEnd::FailedEntry { reason, cpu, rip }
            }
            KVM_EXIT_SYSTEM_EVENT => VcpuEnd::SystemEvent { kind: run_page::system_event(run) },
            KVM_EXIT_MEMORY_FAULT => {
                let (address, size) = run_page::memory_fault(run);
                VcpuEnd::MemoryFault { address, size }
            }
            reason => VcpuEnd::Unexpected { reason, rip },
        }
    }
}
