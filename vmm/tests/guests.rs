//! Tiny machine-code guests on the host's KVM.

mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devices::char::{Backend, Stream};
use devices::interrupt::Gsi;
use devices::legacy::{Pvpanic, SerialPort, pvpanic, serial};
use devices::virtio::event_loop::EventLoop;
use support::{Entry, RESET, foundation, kernel, machine, machine_with, run, wait};
use vm_spec::{MAX_VCPUS, MachineEnd};
use vmm::machine::{Phase, State};
use vmm::vcpu::VcpuEnd;

/// `code`, then a restart.
fn then_reset(code: &[u8]) -> Vec<u8> {
    [code, RESET].concat()
}

#[test]
fn a_guest_that_resets_through_the_keyboard_controller_ends_with_reboot() {
    let (ended, _) = run(RESET, Entry::Pvh);
    assert_eq!(ended.end, MachineEnd::Reboot);
}

#[test]
fn a_guest_that_asked_for_its_end_does_not_go_on() {
    // mov al, 0xfe; out 0x64, al; 1: out 0x10, al; jmp 1b
    let (ended, probe) = run(&[&RESET[..4], &[0xe6, 0x10, 0xeb, 0xfc]].concat(), Entry::Pvh);
    assert_eq!(ended.end, MachineEnd::Reboot);
    assert!(probe.written().is_empty());
}

#[test]
fn a_jump_to_the_reset_vector_in_real_mode_restarts() {
    // The way of Linux: a 16-bit code segment first, then real mode.
    // lgdt [0x100030]; jmp 8:0x10
    let mut code = vec![0x0f, 0x01, 0x15, 0x30, 0x00, 0x10, 0x00, 0xea, 0x10, 0x00, 0x00, 0x00];
    // (padding) selector of the far jump, then 16-bit code at 0x10:
    code.extend([0x08, 0x00, 0x90, 0x90]);
    // mov eax, cr0; and al, 0xfe; mov cr0, eax; jmp 0xf000:0xfff0
    code.extend([0x0f, 0x20, 0xc0, 0x24, 0xfe, 0x0f, 0x22, 0xc0, 0xea, 0xf0, 0xff, 0x00, 0xf0]);
    code.resize(0x30, 0x90);
    // Descriptor table of two entries: limit, base, then the table at 0x38.
    code.extend([0x0f, 0x00, 0x38, 0x00, 0x10, 0x00, 0x00, 0x00]);
    code.extend([0; 8]);
    // Base 0x100000 and not 0, so that 16-bit offsets reach the code.
    code.extend([0xff, 0xff, 0x00, 0x00, 0x10, 0x9b, 0x00, 0x00]);
    let (ended, _) = run(&code, Entry::Pvh);
    assert_eq!(ended.end, MachineEnd::Reboot, "{ended}");
}

#[test]
fn the_64_bit_entry_runs_in_long_mode() {
    // xor eax, eax; dec eax (32-bit) or rex prefix (64-bit): 48 ff c0 is `inc rax` in long mode
    // only; in 32-bit code it would be `dec eax; inc eax`.
    // mov al, 0; rex.w inc rax; out 0x10, al
    let code = then_reset(&[0x31, 0xc0, 0x48, 0xff, 0xc0, 0xe6, 0x10]);
    let (ended, probe) = run(&code, Entry::Long);
    assert_eq!(ended.end, MachineEnd::Reboot);
    assert_eq!(probe.written(), [[1]]);
}

#[test]
fn port_writes_reach_the_device_with_their_width() {
    // mov eax, 0x12345678; out 0x10, al; out 0x10, ax; out 0x10, eax
    let code =
        then_reset(&[0xb8, 0x78, 0x56, 0x34, 0x12, 0xe6, 0x10, 0x66, 0xe7, 0x10, 0xe7, 0x10]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [vec![0x78], vec![0x78, 0x56], vec![0x78, 0x56, 0x34, 0x12]]);
}

#[test]
fn repeated_port_writes_arrive_one_by_one() {
    // mov esi, 0x10000a+len; ... rep outsb needs data: use the code itself.
    // mov esi, 0x100000; mov ecx, 3; mov dx, 0x10; rep outsb
    let code = then_reset(&[
        0xbe, 0x00, 0x00, 0x10, 0x00, 0xb9, 0x03, 0x00, 0x00, 0x00, 0x66, 0xba, 0x10, 0x00, 0xf3,
        0x6e,
    ]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [[0xbe], [0x00], [0x00]]);
}

#[test]
fn port_reads_bring_the_devices_answer() {
    // in eax, 0x10; out 0x10, eax
    let code = then_reset(&[0xe5, 0x10, 0xe7, 0x10]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [[0x5a; 4]]);
}

#[test]
fn unknown_ports_and_addresses_read_all_ones() {
    // in al, 0x99; out 0x10, al; mov eax, [0xc8000000]; out 0x10, eax
    let code = then_reset(&[0xe4, 0x99, 0xe6, 0x10, 0xa1, 0x00, 0x00, 0x00, 0xc8, 0xe7, 0x10]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [vec![0xff], vec![0xff; 4]]);
}

#[test]
fn reading_an_unknown_port_and_address_in_a_loop_does_no_harm() {
    // mov ecx, 20000; l: in al, 0x99; mov eax, [0xc8000000]; loop l
    let code = then_reset(&[
        0xb9, 0x20, 0x4e, 0x00, 0x00, 0xe4, 0x99, 0xa1, 0x00, 0x00, 0x00, 0xc8, 0xe2, 0xf7,
    ]);
    let (mut machine, _) = machine(kernel(&code, Entry::Pvh), 1);
    let (exits, buses) = (machine.exits(), machine.buses().clone());
    machine.resume().unwrap();
    assert_eq!(wait(machine).end, MachineEnd::Reboot);
    assert_eq!((exits[0].port_in.get(), exits[0].mmio_read.get()), (20_000, 20_000));
    assert_eq!((buses.ports.unclaimed.get(), buses.mmio.unclaimed.get()), (20_000, 20_000));
}

#[test]
fn a_guest_that_prints_with_nobody_reading_is_not_held() {
    // mov ecx, 150000; mov dx, 0x3f8; l: out dx, al; loop l
    let code =
        then_reset(&[0xb9, 0xf0, 0x49, 0x02, 0x00, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xe2, 0xfd]);
    let (_idle, host) = UnixStream::pair().unwrap();
    let backend = Backend::streams(host.as_fd(), host.as_fd()).unwrap();
    let (event_loop, thread) = EventLoop::spawn("console", || {}).unwrap();
    let (stream, _keep) = Stream::start(backend, 4096, &event_loop).unwrap();
    let output = stream.clone();
    let (mut machine, _) = machine_with(kernel(&code, Entry::Pvh), 1, |foundation, ports| {
        let line = foundation.irq_line(Gsi(serial::IRQ)).unwrap();
        let port = SerialPort::new(line, Box::new(output), None).unwrap();
        ports.insert("COM1", serial::PORT, serial::PORTS, Arc::new(port)).unwrap();
    });
    machine.resume().unwrap();
    assert_eq!(wait(machine).end, MachineEnd::Reboot);
    assert_eq!(stream.metrics().output.get(), 150_000);
    assert_eq!(stream.log().tail(usize::MAX).len(), 4096);
    event_loop.end();
    thread.join().unwrap();
}

#[test]
fn memory_mapped_accesses_reach_the_device() {
    // mov eax, 0xcafe; mov [0xd0000000], eax; mov al, [0xd0000000]; out 0x10, al
    let code = then_reset(&[
        0xb8, 0xfe, 0xca, 0x00, 0x00, 0xa3, 0x00, 0x00, 0x00, 0xd0, 0xa0, 0x00, 0x00, 0x00, 0xd0,
        0xe6, 0x10,
    ]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [vec![0xfe, 0xca, 0, 0], vec![0x5a]]);
}

#[test]
fn the_pvh_start_info_is_in_ebx() {
    // mov eax, [ebx]; out 0x10, eax
    let code = then_reset(&[0x8b, 0x03, 0xe7, 0x10]);
    let (_, probe) = run(&code, Entry::Pvh);
    assert_eq!(probe.written(), [0x336e_c578_u32.to_le_bytes()]);
}

#[test]
fn a_triple_fault_is_an_end_of_its_own() {
    // lidt [zero limit]; ud2
    let code = [
        0x0f, 0x01, 0x1d, 0x10, 0x00, 0x10, 0x00, 0x0f, 0x0b, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
        0x90, 0, 0, 0, 0, 0, 0,
    ];
    ends_within_a_second(|| {
        let (ended, _) = run(&code, Entry::Pvh);
        assert_eq!(ended.end, MachineEnd::TripleFault, "{ended}");
        assert!(matches!(ended.detail, Some((0, VcpuEnd::TripleFault { .. }))));
    });
}

/// Runs `end` until it takes less than a second. A busy host makes it longer, and nothing makes it
/// shorter, so that once in five times is enough.
fn ends_within_a_second(end: impl Fn()) {
    let timed = || {
        let started = Instant::now();
        end();
        started.elapsed()
    };
    let mut times = std::iter::repeat_with(timed).take(5);
    assert!(times.any(|time| time < Duration::from_secs(1)), "five times not");
}

#[test]
fn a_guest_that_panicked_and_hangs_ends_within_a_second() {
    // mov al, 1; mov dx, 0x505; out dx, al; jmp $
    let code = [0xb0, 0x01, 0x66, 0xba, 0x05, 0x05, 0xee, 0xeb, 0xfe];
    ends_within_a_second(|| {
        let (mut machine, _) = machine_with(kernel(&code, Entry::Pvh), 1, |foundation, ports| {
            let pvpanic = Pvpanic::new(foundation.guest_requests());
            ports.insert("pvpanic", pvpanic::PORT, 1, Arc::new(pvpanic)).unwrap();
        });
        machine.resume().unwrap();
        assert_eq!(wait(machine).end, MachineEnd::Panic);
    });
}

#[test]
fn executing_beyond_memory_ends_with_kvms_reason() {
    // jmp 0xc8000000
    let code = [0xb8, 0x00, 0x00, 0x00, 0xc8, 0xff, 0xe0];
    let (ended, _) = run(&code, Entry::Pvh);
    assert_eq!(ended.end, MachineEnd::InternalError, "{ended}");
    let Some((0, VcpuEnd::InternalError(error))) = &ended.detail else { panic!("{ended}") };
    assert_eq!((error.suberror, error.rip), (1, 0xc800_0000), "{ended}");
    assert!(ended.to_string().contains("(suberror 1) at 0xc8000000"), "{ended}");
}

#[test]
fn a_running_guest_can_be_paused_resumed_and_stopped() {
    // l: inc eax; out 0x10, al; jmp l
    let (machine, probe) = machine(kernel(&[0x40, 0xe6, 0x10, 0xeb, 0xfb], Entry::Pvh), 2);
    let control = machine.control();
    let owner = std::thread::spawn(move || machine.run());
    assert_eq!(control.call(|m| m.state()).unwrap(), State::Paused);
    assert_eq!(probe.written().len(), 0);
    control.resume().unwrap();
    wait_for_writes(&probe, 1);
    control.pause().unwrap();
    let paused_at = probe.written().len();
    assert_eq!(control.call(|m| m.state()).unwrap(), State::Paused);
    assert_eq!(probe.written().len(), paused_at);
    control.resume().unwrap();
    wait_for_writes(&probe, paused_at + 1);
    control.stop().unwrap();
    assert_eq!(owner.join().unwrap().end, MachineEnd::Stopped);
    assert!(control.pause().is_err());
}

/// Waits until the guest has made more writes; every look costs the guest's own progress.
fn wait_for_writes(probe: &support::Probe, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while probe.written().len() < count {
        assert!(Instant::now() < deadline, "the guest makes no progress");
        std::thread::yield_now();
    }
}

#[test]
fn all_254_vcpus_start_and_know_their_apic_ids() {
    // Real mode: mov eax, 1; cpuid; shr ebx, 24; mov al, bl; out 0x10, al; l: hlt; jmp l
    let others = [
        0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0x66, 0xc1, 0xeb, 24, 0x88, 0xd8, 0xe6, 0x10, 0xf4,
        0xeb, 0xfd,
    ];
    // mov esi, 0x100040; mov edi, 0x8000; mov ecx, 19; rep movsb
    let mut code = vec![0xbe, 0x40, 0x00, 0x10, 0x00, 0xbf, 0x00, 0x80, 0x00, 0x00];
    code.extend([0xb9, 19, 0x00, 0x00, 0x00, 0xf3, 0xa4]);
    // To all but this one, through the interrupt command register: INIT, then SIPI to 0x8000.
    // mov dword [0xfee00300], 0xc4500; mov dword [0xfee00300], 0xc4608; l: hlt; jmp l
    code.extend([0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00]);
    code.extend([0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00]);
    code.extend([0xf4, 0xeb, 0xfd]);
    code.resize(0x40, 0x90);
    code.extend(others);

    let (machine, probe) = machine(kernel(&code, Entry::Pvh), MAX_VCPUS);
    let control = machine.control();
    let owner = std::thread::spawn(move || machine.run());
    control.resume().unwrap();
    wait_for_writes(&probe, 253);
    control.stop().unwrap();
    assert_eq!(owner.join().unwrap().end, MachineEnd::Stopped);
    let mut ids = probe.written().concat();
    ids.sort_unstable();
    assert_eq!(ids, (1..=253).collect::<Vec<u8>>());
}

#[test]
fn a_guest_that_halts_can_be_stopped() {
    // cli; hlt
    let (mut machine, _) = machine(kernel(&[0xfa, 0xf4], Entry::Pvh), 1);
    let control = machine.control();
    machine.resume().unwrap();
    let owner = std::thread::spawn(move || machine.run());
    control.stop().unwrap();
    assert_eq!(owner.join().unwrap().end, MachineEnd::Stopped);
}

#[test]
fn a_machine_that_never_ran_can_be_dropped() {
    let (machine, probe) = machine(kernel(RESET, Entry::Pvh), 4);
    drop(machine);
    assert_eq!(probe.written().len(), 0);
}

#[test]
fn a_foundation_that_no_board_was_built_on_can_be_dropped() {
    let (done, dropped) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(foundation(2));
        done.send(()).unwrap();
    });
    // Its vCPUs wait for the board's buses; without them they end.
    dropped.recv_timeout(Duration::from_secs(20)).unwrap();
}

#[test]
fn phases_are_reached_in_order() {
    let (mut machine, _) = machine(kernel(RESET, Entry::Pvh), 1);
    let phases = machine.phases().clone();
    machine.resume().unwrap();
    machine.run();
    let up_to_entered = &Phase::ALL[..6];
    let times: Vec<_> = up_to_entered.iter().map(|phase| phases.get(*phase).unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(phases.get(Phase::Booted), None);
}
