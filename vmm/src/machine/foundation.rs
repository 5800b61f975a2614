//! Everything below the board: VM, memory, and vCPUs that are being made meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use devices::interrupt::Gsi;
use devices::legacy::GuestRequests;
use devices::memory::{GuestRam, Memory};
use vm_memory::GuestAddressSpace;
use vm_spec::{CpuSpec, MemoryBacking, MemorySpec};

use super::board::Board;
use super::phases::{Phase, Phases};
use super::requests::{Message, Requests};
use super::run::Machine;
use crate::boot::{BootError, BootFiles, Entry};
use crate::kvm::doorbell::KvmDoorbells;
use crate::kvm::interrupt::{KvmIrqLine, KvmMsiSource};
use crate::kvm::{CreateVmError, Kvm, Vm};
use crate::memory::layout::ACPI_START;
use crate::memory::slots::{self, SlotError};
use crate::memory::{AddressSpace, AllocateError, Backing, LayoutError, Pages, allocate, populate};
use crate::vcpu::run::{Buses, MachineWide};
use crate::vcpu::thread::StartError;
use crate::vcpu::{VcpuHandle, VcpuSetup};
use crate::x86_64::cpuid::{Cpuid, CpuidError, Supported, Topology};
use crate::x86_64::registers::{self, RegistersError};

/// Why a machine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// KVM refused the VM.
    #[error(transparent)]
    Create(#[from] CreateVmError),
    /// The memory size cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The host gives no memory.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// KVM does not take it.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// CPUID cannot be composed.
    #[error(transparent)]
    Cpuid(#[from] CpuidError),
    /// A vCPU cannot be started.
    #[error(transparent)]
    Vcpu(#[from] StartError),
    /// Kernel, initial RAM disk or parameters.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The boot processor's tables.
    #[error(transparent)]
    Registers(#[from] RegistersError),
}

/// What a machine is built from.
pub struct MachineParams<'a> {
    /// Processors.
    pub cpu: &'a CpuSpec,
    /// Memory.
    pub memory: &'a MemorySpec,
    /// When the monitor was started, for [`Phases`].
    pub started: Instant,
    /// Called on each vCPU's thread before it first enters the guest: to confine the thread.
    pub confine_vcpu: Arc<dyn Fn() + Send + Sync>,
}

/// A VM with memory, on which the board can be built while the vCPUs are made on their threads.
pub struct Foundation {
    // Dropped in this order: a vCPU that waits for its buses ends when their sender goes.
    buses: Vec<Sender<Buses>>,
    vcpus: Vec<VcpuHandle>,
    vm: Vm,
    msi: KvmMsiSource,
    memory: Memory,
    space: AddressSpace,
    phases: Arc<Phases>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    over: Arc<AtomicBool>,
    vcpu_count: u8,
}

/// A kernel in guest memory.
#[derive(Debug)]
pub struct LoadedKernel {
    entry: Entry,
    cr3: u64,
}

impl Foundation {
    /// Makes the VM and its memory and starts the vCPUs' threads.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn lay(kvm: &Kvm, params: &MachineParams<'_>) -> Result<Self, BuildError> {
        let phases = Arc::new(Phases::since(params.started));
        let vm = Vm::create(kvm)?;
        phases.reach(Phase::VmCreated);
        let supported = Supported::read(kvm)?;
        let size = params.memory.size.0.saturating_mul(1 << 20);
        let space = AddressSpace::new(size, supported.physical_bits())?;
        let (backing, pages) = backing(params.memory.backing);
        let ram = allocate(&space, backing, pages)?;
        if params.memory.prefault {
            populate(&ram)?;
        }
        slots::register(vm.ioctls(), &ram, params.memory.dirty_tracking)?;
        phases.reach(Phase::MemoryReady);
        vm.add_interrupt_controllers(kvm)?;
        let setup = vcpu_setup(&vm, params, &supported);
        let (sender, messages) = channel();
        let over = Arc::<AtomicBool>::default();
        let wide = MachineWide { phases: Arc::clone(&phases), over: Arc::clone(&over) };
        let (vcpus, buses) = spawn_vcpus(params.cpu.count, &setup, &wide, &sender)?;
        Ok(Self {
            vcpus,
            buses,
            msi: KvmMsiSource::new(&vm),
            vm,
            memory: Memory::new(ram),
            space,
            phases,
            messages,
            sender,
            over,
            vcpu_count: params.cpu.count,
        })
    }

    /// Guest memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Guest physical addresses.
    pub fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// Number of vCPUs; their APIC ids are 0 up to this.
    pub fn vcpu_count(&self) -> u8 {
        self.vcpu_count
    }

    /// Message-signalled interrupts.
    pub fn msi(&self) -> &KvmMsiSource {
        &self.msi
    }

    /// Doorbells.
    pub fn doorbells(&self) -> Arc<KvmDoorbells> {
        Arc::new(KvmDoorbells::new(&self.vm))
    }

    /// An edge-triggered input of the IOAPIC.
    ///
    /// # Errors
    /// When KVM refuses it.
    pub fn irq_line(&self, gsi: Gsi) -> io::Result<Arc<KvmIrqLine>> {
        KvmIrqLine::new(&self.vm, gsi).map(Arc::new)
    }

    /// Where devices pass on what the guest asks of the machine.
    pub fn guest_requests(&self) -> Arc<dyn GuestRequests> {
        Arc::new(Requests { owner: self.sender.clone(), over: Arc::clone(&self.over) })
    }

    /// When what was reached.
    pub fn phases(&self) -> &Arc<Phases> {
        &self.phases
    }

    /// Loads what `files` name, before the board takes what was opened for its devices: a kernel
    /// that is none costs nothing else.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn load(&self, files: &BootFiles) -> Result<LoadedKernel, BuildError> {
        let ram: &GuestRam = &self.memory.memory();
        let entry = crate::boot::load(files, ram, &self.space, ACPI_START)?;
        let cr3 = registers::write_tables(ram, entry)?;
        self.phases.reach(Phase::KernelLoaded);
        Ok(LoadedKernel { entry, cr3 })
    }

    /// Places the boot processor at its kernel, and joins all with `board`. The machine is paused.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn complete(mut self, board: Board, kernel: LoadedKernel) -> Result<Machine, BuildError> {
        self.phases.reach(Phase::BoardReady);
        let buses = Buses { ports: Arc::new(board.ports), mmio: Arc::new(board.mmio) };
        for vcpu in &mut self.vcpus {
            vcpu.wait_ready()?;
        }
        for sender in &self.buses {
            // A vCPU whose thread is gone tells so at its first command.
            let _ = sender.send(buses.clone());
        }
        if let Some(boot_processor) = self.vcpus.first() {
            boot_processor.enter(kernel.entry, kernel.cr3)?;
        }
        self.phases.reach(Phase::VcpusReady);
        Ok(Machine::new(
            self.vcpus,
            board.devices,
            buses,
            (self.vm, self.memory),
            self.phases,
            (self.sender, self.messages),
        ))
    }
}

fn vcpu_setup(vm: &Vm, params: &MachineParams<'_>, supported: &Supported) -> VcpuSetup {
    let cpu = params.cpu;
    let topology = Topology { vcpus: cpu.count, threads_per_core: cpu.threads_per_core };
    VcpuSetup {
        vm: vm.clone(),
        cpuid: Arc::new(Cpuid::new(supported, topology, &cpu.template.cpuid)),
        msrs: Arc::from(cpu.template.msrs.as_slice()),
        confine: Arc::clone(&params.confine_vcpu),
    }
}

type Started = (Vec<VcpuHandle>, Vec<Sender<Buses>>);

fn spawn_vcpus(
    count: u8,
    setup: &VcpuSetup,
    wide: &MachineWide,
    messages: &Sender<Message>,
) -> Result<Started, StartError> {
    let (mut vcpus, mut buses) = (Vec::new(), Vec::new());
    for index in 0..count {
        let (sender, receiver) = channel();
        let messages = messages.clone();
        let on_end = Box::new(move |end| drop(messages.send(Message::Vcpu(index, end))));
        vcpus.push(VcpuHandle::spawn(index, setup.clone(), receiver, wide.clone(), on_end)?);
        buses.push(sender);
    }
    Ok((vcpus, buses))
}

fn backing(spec: MemoryBacking) -> (Backing, Pages) {
    match spec {
        MemoryBacking::Anonymous => (Backing::Anonymous, Pages::Normal),
        MemoryBacking::TransparentHuge => (Backing::Anonymous, Pages::Transparent),
        MemoryBacking::Memfd => (Backing::Memfd, Pages::Normal),
        MemoryBacking::Hugetlb2M => (Backing::Memfd, Pages::Huge2M),
    }
}
