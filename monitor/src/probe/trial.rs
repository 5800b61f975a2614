//! Guests of a few instructions, on the way that every machine goes.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use api::probe::Trial;
use devices::bus::{Bus, BusDevice};
use devices::interrupt::Gsi;
use devices::legacy::i8042::{self, I8042};
use rustix::fs::{MemfdFlags, memfd_create};
use vm_spec::{CpuSpec, MachineEnd, MemorySpec, Mib};
use vmm::boot::{BootFiles, CommandLine, Image};
use vmm::kvm::Kvm;
use vmm::machine::{Board, Devices, Ended, Foundation, Machine, MachineParams};

/// How long a guest may take: a thousand times what it takes anywhere.
const LIMIT: Duration = Duration::from_secs(3);
/// Where guests lie in memory, and are entered in 64-bit mode.
const ENTRY: u64 = 0x10_0000;
/// Where they lie in their file.
const OFFSET: usize = 0x1000;
/// The port that they write to.
const PORT: u64 = 0x10;
/// How often.
const WRITES: u32 = 1000;

/// `mov al, 0xfe; out 0x64, al; hlt; jmp $-1`: restart through the keyboard controller.
const RESET: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// Runs a guest that only writes to a port; gives the mean time of a write too, in nanoseconds.
pub(super) fn tiny_guest(kvm: &Kvm) -> (Trial, Option<u64>) {
    // mov ecx, WRITES; l: out 0x10, al; dec ecx; jnz l
    let mut code = vec![0xb9];
    code.extend(WRITES.to_le_bytes());
    code.extend([0xe6, 0x10, 0xff, 0xc9, 0x75, 0xfa]);
    let port = Arc::<Port>::default();
    let trial = run(kvm, &code, &port);
    (trial, port.mean_ns())
}

/// Runs a guest that exchanges 16 bytes at once, as Linux does early. KVM's emulator cannot, so
/// that it works only where the processor itself executes guests.
pub(super) fn kernel_guest(kvm: &Kvm) -> Trial {
    // lea rsi, [rip]; and rsi, -16; lock cmpxchg16b [rsi + 256]
    let code = [
        0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x48, 0x83, 0xe6, 0xf0, 0xf0, 0x48, 0x0f, 0xc7, 0x8e, 0, 1,
        0, 0,
    ];
    run(kvm, &code, &Arc::default())
}

fn run(kvm: &Kvm, code: &[u8], port: &Arc<Port>) -> Trial {
    match build(kvm, code, port).and_then(run_to_end) {
        Ok(ended) => Trial { works: ended.end == MachineEnd::Reboot, message: ended.to_string() },
        Err(error) => Trial { works: false, message: format!("{error:#}") },
    }
}

fn build(kvm: &Kvm, code: &[u8], port: &Arc<Port>) -> anyhow::Result<Machine> {
    let memory = MemorySpec { size: Mib(32), ..MemorySpec::default() };
    let params = MachineParams {
        cpu: &CpuSpec::default(),
        memory: &memory,
        started: Instant::now(),
        confine_vcpu: Arc::new(|| {}),
    };
    let foundation = Foundation::lay(kvm, &params)?;
    let keyboard = I8042::new(foundation.irq_line(Gsi(1))?, foundation.guest_requests());
    let mut ports = Bus::new();
    ports.insert("trial", PORT, 1, Arc::clone(port) as _)?;
    ports.insert("i8042", i8042::PORT, i8042::PORTS, Arc::new(keyboard))?;
    let board = Board { ports, mmio: Bus::new(), devices: Box::new(NoDevices) };
    let command_line = CommandLine::new("")?;
    let files = BootFiles { kernel: kernel(code)?, initrd: None, command_line };
    let kernel = foundation.load(&files)?;
    Ok(foundation.complete(board, kernel)?)
}

/// An ELF kernel that executes `code` and restarts.
fn kernel(code: &[u8]) -> anyhow::Result<Image> {
    let mut elf = vec![0; OFFSET];
    let size = (code.len() + RESET.len()) as u64;
    let mut put = |at: usize, bytes: &[u8]| {
        elf.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
    };
    put(0, b"\x7fELF\x02\x01\x01\0");
    // An executable for x86-64; its entry; one program header of 56 bytes at 64.
    put(16, &[2, 0, 62, 0]);
    put(24, &ENTRY.to_le_bytes());
    put(32, &[64]);
    put(54, &[56, 0, 1]);
    // Loadable: offset in the file, address, size in file and memory.
    put(64, &[1]);
    put(72, &(OFFSET as u64).to_le_bytes());
    put(88, &ENTRY.to_le_bytes());
    put(96, &size.to_le_bytes());
    put(104, &size.to_le_bytes());
    elf.extend_from_slice(code);
    elf.extend_from_slice(RESET);
    let mut file = File::from(memfd_create("trial", MemfdFlags::CLOEXEC)?);
    file.write_all(&elf)?;
    Ok(Image::new(file, Path::new("trial"))?)
}

/// Runs a machine on this thread, and ends it when it takes too long.
fn run_to_end(mut machine: Machine) -> anyhow::Result<Ended> {
    let control = machine.control();
    let (ended, waits) = mpsc::channel::<()>();
    let guard = thread::Builder::new().name("limit".to_owned()).spawn(move || {
        let late = waits.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
        late.then(|| control.stop())
    });
    let guard = guard.context("failed to start a thread")?;
    machine.resume()?;
    let end = machine.run();
    drop(ended);
    // One that panicked has said so.
    let _ = guard.join();
    Ok(end)
}

/// Notes when it is written to for the first and the last time.
#[derive(Default)]
struct Port(Mutex<Option<Writes>>);

struct Writes {
    first: Instant,
    last: Instant,
    count: u32,
}

impl Port {
    /// Mean time from one write to the next, once there were all.
    fn mean_ns(&self) -> Option<u64> {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = writes.as_ref().filter(|writes| writes.count == WRITES)?;
        let all = writes.last.duration_since(writes.first);
        u64::try_from((all / (WRITES - 1)).as_nanos()).ok()
    }
}

impl BusDevice for Port {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, _offset: u64, _data: &[u8]) {
        let now = Instant::now();
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = writes.get_or_insert(Writes { first: now, last: now, count: 0 });
        writes.last = now;
        writes.count = writes.count.saturating_add(1);
    }
}

/// Devices without queues.
struct NoDevices;

impl Devices for NoDevices {
    fn pause(&mut self) {}
    fn resume(&mut self) {}
    fn press_power_button(&self) {}
    fn press_ctrl_alt_del(&self) {}
}
