//! Boots a kernel with a serial console on standard output, without any other device:
//! `boot KERNEL CMDLINE [INITRD|-] [CPUS] [MIB]`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use devices::bus::Bus;
use devices::interrupt::Gsi;
use devices::legacy::{AcpiPower, BootTimer, I8042, Pvpanic, SerialPort};
use devices::legacy::{boot_timer, i8042, pvpanic, serial};
use vm_memory::GuestAddressSpace;
use vm_spec::{CpuSpec, MemorySpec, Mib};
use vmm::acpi::{Platform, write_tables};
use vmm::boot::initrd::Initrd;
use vmm::boot::{BootFiles, CommandLine, Image};
use vmm::kvm::Kvm;
use vmm::machine::{Board, Devices, Foundation, MachineParams, Phase};
use vmm::memory::layout::{ACPI_END, ACPI_START, Range};

const POWER_PORTS: u16 = 0x600;

struct NoDevices;

impl Devices for NoDevices {
    fn pause(&mut self) {}
    fn resume(&mut self) {}
    fn press_power_button(&self) {}
    fn press_ctrl_alt_del(&self) {}
}

fn main() -> Result<()> {
    let started = Instant::now();
    let args: Vec<String> = std::env::args().collect();
    let arg = |index: usize| args.get(index).map(String::as_str);
    let cpu = CpuSpec { count: arg(4).unwrap_or("1").parse()?, ..CpuSpec::default() };
    let size = Mib(arg(5).unwrap_or("256").parse()?);
    let memory = MemorySpec { size, ..MemorySpec::default() };
    let params =
        MachineParams { cpu: &cpu, memory: &memory, started, confine_vcpu: Arc::new(|| {}) };
    let files = boot_files(arg(1), arg(2), arg(3))?;
    let foundation = Foundation::lay(&Kvm::open()?, &params)?;
    let board = board(&foundation)?;
    let mut machine = foundation.complete(board, &files)?;
    let (phases, exits) = (machine.phases().clone(), machine.exits());
    machine.resume()?;
    let ended = machine.run();
    let mut err = std::io::stderr();
    writeln!(err, "{ended}")?;
    for phase in Phase::ALL {
        writeln!(err, "{:>14} {:?}", phase.name(), phases.get(phase))?;
    }
    for (index, exits) in exits.iter().enumerate() {
        writeln!(err, "vcpu{index} {:?}", exits.by_reason())?;
    }
    std::process::exit(ended.end.exit_status().into());
}

fn boot_files(kernel: Option<&str>, line: Option<&str>, initrd: Option<&str>) -> Result<BootFiles> {
    let open = |path: &str| File::open(path).with_context(|| format!("failed to open {path}"));
    let path = kernel.context("which kernel?")?;
    let initrd = match initrd.filter(|path| *path != "-") {
        Some(path) => Some(Initrd::new(open(path)?, Path::new(path))?),
        None => None,
    };
    Ok(BootFiles {
        kernel: Image::new(open(path)?, Path::new(path))?,
        initrd,
        command_line: CommandLine::new(line.unwrap_or("console=ttyS0"))?,
        map: true,
    })
}

fn board(foundation: &Foundation) -> Result<Board> {
    let requests = foundation.guest_requests();
    let line = |gsi| foundation.irq_line(Gsi(gsi));
    let output = Box::new(std::io::stdout());
    let port = SerialPort::new(line(serial::IRQ)?, output, None, requests.clone())?;
    let keyboard = I8042::new(line(1)?, requests.clone());
    let power = AcpiPower::new(line(5)?, requests.clone());
    let phases = Arc::clone(foundation.phases());
    let timer = BootTimer::new(move || phases.reach(Phase::Booted));
    let mut ports = Bus::new();
    ports.insert("serial", serial::PORT, serial::PORTS, Arc::new(port))?;
    ports.insert("i8042", i8042::PORT, i8042::PORTS, Arc::new(keyboard))?;
    ports.insert("power", POWER_PORTS.into(), 8, Arc::new(power))?;
    ports.insert("pvpanic", pvpanic::PORT, 1, Arc::new(Pvpanic::new(requests)))?;
    ports.insert("boot timer", boot_timer::PORT, 1, Arc::new(timer))?;
    let platform = Platform {
        apic_ids: (0..u32::from(foundation.vcpu_count())).collect(),
        pci: None,
        mmio: Vec::new(),
        serial: Some(serial::IRQ),
        keyboard: Some(1),
        power_ports: POWER_PORTS,
        event_gsi: 5,
        pvpanic_port: u16::try_from(pvpanic::PORT)?,
        generation_id: None,
    };
    let area = Range { start: ACPI_START.0, size: ACPI_END.0 - ACPI_START.0 };
    let rsdp = write_tables(&foundation.memory().memory(), area, &platform)?;
    Ok(Board { ports, mmio: Bus::new(), rsdp, devices: Box::new(NoDevices) })
}
