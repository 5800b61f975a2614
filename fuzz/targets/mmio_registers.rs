//! A guest's accesses to the registers of a virtio-mmio device.
#![no_main]

use std::sync::Arc;

use devices::bus::BusDevice;
use devices::virtio::fake_driver::FakeDriver;
use devices::virtio::transport::{MmioTransport, mmio::WINDOW_SIZE};
use fuzz::registers::{Access, MAX_ACCESSES, NoLine, StrictDevice, StrictDoorbells};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const BASE: u64 = 0xd000_0000;

#[derive(Debug, Arbitrary)]
enum Step {
    Access(Access),
    /// A driver starts in the usual way, with these queues.
    Start([bool; 3]),
    Serve,
    Pause,
    Resume,
}

/// The usual way (VIRTIO 1.3, 3.1.1).
fn start(transport: &MmioTransport, driver: &FakeDriver, queues: [bool; 3]) {
    let write = |offset: u64, value: u32| transport.write(offset, &value.to_le_bytes());
    write(0x70, 0);
    write(0x70, 3);
    write(0x24, 1);
    write(0x20, 1);
    write(0x70, 0xb);
    for (index, _) in (0u32..).zip(queues).filter(|(_, wanted)| *wanted) {
        let layout = driver.layout;
        write(0x30, index);
        write(0x38, u32::from(layout.size));
        write(0x80, layout.descriptors as u32);
        write(0x90, layout.available as u32);
        write(0xa0, layout.used as u32);
        write(0x44, 1);
    }
    write(0x70, 0xf);
}

fuzz_target!(|steps: Vec<Step>| {
    let (device, driver) = (StrictDevice::shared(), FakeDriver::new(16));
    let doorbells = Arc::<StrictDoorbells>::default();
    let memory = driver.memory.clone();
    let transport =
        MmioTransport::new(device.clone(), memory, doorbells, BASE, Arc::new(NoLine)).expect("one");
    for step in steps.iter().take(MAX_ACCESSES) {
        match step {
            Step::Access(access) => access.act(&transport, WINDOW_SIZE),
            Step::Start(queues) => start(&transport, &driver, *queues),
            Step::Serve => device.lock().expect("no panic holds it").serve(),
            Step::Pause => transport.core().lock().expect("no panic holds it").pause(),
            Step::Resume => transport.core().lock().expect("no panic holds it").resume(),
        }
    }
});
