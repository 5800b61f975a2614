//! Machines for tests: a few instructions as kernel, a board of two or three ports.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use devices::bus::{Bus, BusDevice};
use devices::interrupt::Gsi;
use devices::legacy::i8042::{self, I8042};
use vm_spec::{CpuSpec, MemorySpec, Mib};
use vmm::boot::{BootFiles, CommandLine, Image};
use vmm::kvm::Kvm;
use vmm::machine::{Board, Devices, Ended, Foundation, Machine, MachineParams};

/// A port that notes what is written to it and answers with what it is told to.
#[derive(Debug, Default)]
pub struct Probe {
    written: Mutex<Vec<Vec<u8>>>,
}

impl Probe {
    pub fn written(&self) -> Vec<Vec<u8>> {
        self.written.lock().unwrap().clone()
    }
}

impl BusDevice for Probe {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0x5a);
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        self.written.lock().unwrap().push(data.to_vec());
    }
}

/// Devices without queues.
pub struct NoDevices;

impl Devices for NoDevices {
    fn pause(&mut self) {}
    fn resume(&mut self) {}
    fn press_power_button(&self) {}
    fn press_ctrl_alt_del(&self) {}
}

pub const PROBE_PORT: u16 = 0x10;
pub const PROBE_MMIO: u64 = 0xd000_0000;

/// How the test kernel asks to be entered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Pvh,
    Long,
}

/// An ELF kernel that consists of `code`.
pub fn kernel(code: &[u8], entry: Entry) -> Image {
    const ENTRY: u32 = 0x10_0000;
    let mut elf = vec![0; 0x1000];
    elf[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    elf[16..20].copy_from_slice(&[2, 0, 62, 0]);
    elf[24..28].copy_from_slice(&ENTRY.to_le_bytes());
    elf[32] = 64;
    elf[54] = 56;
    elf[56] = 2;
    let mut header = |at: usize, kind: u8, offset: u64, address: u64, size: u64| {
        elf[at] = kind;
        elf[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
        elf[at + 24..at + 32].copy_from_slice(&address.to_le_bytes());
        elf[at + 32..at + 40].copy_from_slice(&size.to_le_bytes());
        elf[at + 40..at + 48].copy_from_slice(&size.to_le_bytes());
    };
    header(64, 1, 0x1000, u64::from(ENTRY), code.len() as u64);
    if entry == Entry::Pvh {
        header(120, 4, 0x200, 0, 20);
    }
    elf[0x200..0x20c].copy_from_slice(&[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]);
    elf[0x20c..0x210].copy_from_slice(b"Xen\0");
    elf[0x210..0x214].copy_from_slice(&ENTRY.to_le_bytes());
    elf.extend_from_slice(code);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&elf).unwrap();
    Image::new(file, Path::new("test-kernel")).unwrap()
}

/// What a machine with 32 MiB stands on.
pub fn foundation(vcpus: u8) -> Foundation {
    let kvm = Kvm::open().unwrap();
    let cpu = CpuSpec { count: vcpus, ..CpuSpec::default() };
    let memory = MemorySpec { size: Mib(32), ..MemorySpec::default() };
    let params = MachineParams {
        cpu: &cpu,
        memory: &memory,
        started: Instant::now(),
        confine_vcpu: Arc::new(|| {}),
    };
    Foundation::lay(&kvm, &params).unwrap()
}

/// Builds a machine around `kernel`.
pub fn machine(kernel: Image, vcpus: u8) -> (Machine, Arc<Probe>) {
    machine_with(kernel, vcpus, |_, _| ())
}

/// The same, with further devices at ports.
pub fn machine_with(
    kernel: Image,
    vcpus: u8,
    add: impl FnOnce(&Foundation, &mut Bus),
) -> (Machine, Arc<Probe>) {
    let foundation = foundation(vcpus);
    let probe = Arc::new(Probe::default());
    let keyboard = I8042::new(foundation.irq_line(Gsi(1)).unwrap(), foundation.guest_requests());
    let mut ports = Bus::new();
    ports.insert("probe", u64::from(PROBE_PORT), 4, probe.clone()).unwrap();
    ports.insert("i8042", i8042::PORT, i8042::PORTS, Arc::new(keyboard)).unwrap();
    add(&foundation, &mut ports);
    let mut mmio = Bus::new();
    mmio.insert("probe", PROBE_MMIO, 0x1000, probe.clone()).unwrap();
    let board = Board { ports, mmio, devices: Box::new(NoDevices) };
    let command_line = CommandLine::new("").unwrap();
    let files = BootFiles { kernel, initrd: None, command_line };
    let kernel = foundation.load(&files).unwrap();
    (foundation.complete(board, kernel).unwrap(), probe)
}

/// Runs `code` to its end, which must come within 20 seconds.
pub fn run(code: &[u8], entry: Entry) -> (Ended, Arc<Probe>) {
    let (mut machine, probe) = machine(kernel(code, entry), 1);
    machine.resume().unwrap();
    (wait(machine), probe)
}

/// Runs `machine` to its end, which must come within 20 seconds.
pub fn wait(machine: Machine) -> Ended {
    let control = machine.control();
    let (done, guard) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let timed_out = guard
            .recv_timeout(Duration::from_secs(20))
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout);
        if timed_out {
            let _ = control.stop();
        }
        timed_out
    });
    let ended = machine.run();
    drop(done);
    assert!(!watchdog.join().unwrap(), "the guest did not end by itself: {ended}");
    ended
}

/// `mov al, 0xfe; out 0x64, al; hlt; jmp $-1`: restart through the keyboard controller.
pub const RESET: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];
