//! A guest's accesses to a virtio-pci device: its BAR with the MSI-X table, and its configuration
//! space through the ports and through the window in memory.
#![no_main]

use std::sync::Arc;

use devices::bus::BusDevice;
use devices::pci::msix::testing::FakeMsi;
use devices::pci::root::{ConfigPorts, Ecam};
use devices::pci::{PciRoot, Slot};
use devices::virtio::fake_driver::FakeDriver;
use devices::virtio::transport::{PciTransport, pci::BAR_SIZE};
use fuzz::registers::{Access, MAX_ACCESSES, StrictDevice, StrictDoorbells};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const BAR: u64 = 0x40_0000_0000;
const SLOT: u8 = 1;
/// Bytes of the configuration ports, of the window for a bus, and of a function in it.
const PORTS: u64 = 8;
const WINDOW: u64 = 1 << 20;
const FUNCTION: u64 = 1 << 12;
/// The MSI-X table in the BAR.
const TABLE: u16 = 0x8000;

#[derive(Debug, Arbitrary)]
enum Step {
    Bar(Access),
    Table(Access),
    Ports(Access),
    /// Of this function, or of the window anywhere.
    Config(Access),
    Window(u32, Access),
    /// A driver starts in the usual way, with these queues.
    Start([bool; 3]),
    Serve,
    Pause,
    Resume,
}

/// The usual way (VIRTIO 1.3, 3.1.1).
fn start(transport: &PciTransport, driver: &FakeDriver, queues: [bool; 3]) {
    let write = |offset: u64, data: &[u8]| transport.write(offset, data);
    write(0x14, &[0]);
    write(0x14, &[3]);
    write(0x08, &1u32.to_le_bytes());
    write(0x0c, &1u32.to_le_bytes());
    write(0x14, &[0xb]);
    for (index, _) in (0u16..).zip(queues).filter(|(_, wanted)| *wanted) {
        let layout = driver.layout;
        write(0x16, &index.to_le_bytes());
        write(0x18, &layout.size.to_le_bytes());
        write(0x1a, &index.to_le_bytes());
        write(0x20, &layout.descriptors.to_le_bytes());
        write(0x28, &layout.available.to_le_bytes());
        write(0x30, &layout.used.to_le_bytes());
        write(0x1c, &1u16.to_le_bytes());
    }
    write(0x14, &[0xf]);
}

/// The configuration space of one function, from an offset in the window.
struct At<'a>(&'a Ecam, u64);

impl BusDevice for At<'_> {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.0.read(self.1 + offset, data);
    }
    fn write(&self, offset: u64, data: &[u8]) {
        self.0.write(self.1 + offset, data);
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let (device, driver) = (StrictDevice::shared(), FakeDriver::new(16));
    let doorbells = Arc::<StrictDoorbells>::default();
    let (memory, msi) = (driver.memory.clone(), FakeMsi::default());
    let transport = PciTransport::new(device.clone(), memory, doorbells, &msi, BAR).expect("one");
    let transport = Arc::new(transport);
    let root = Arc::new(PciRoot::new());
    root.plug(Slot(SLOT), transport.clone()).expect("a free slot");
    let (ports, window) = (ConfigPorts(Arc::clone(&root)), Ecam(root));
    let function = u64::from(SLOT) << 15;
    for step in steps.iter().take(MAX_ACCESSES) {
        match step {
            Step::Bar(access) => access.act(&*transport, BAR_SIZE),
            Step::Table(access) => {
                let offset = TABLE | access.offset % 0x100;
                Access { offset, ..*access }.act(&*transport, BAR_SIZE);
            }
            Step::Ports(access) => access.act(&ports, PORTS),
            Step::Config(access) => access.act(&At(&window, function), FUNCTION),
            Step::Window(at, access) => {
                let at = u64::from(*at) % (WINDOW / FUNCTION) * FUNCTION;
                access.act(&At(&window, at), FUNCTION);
            }
            Step::Start(queues) => start(&transport, &driver, *queues),
            Step::Serve => device.lock().expect("no panic holds it").serve(),
            Step::Pause => transport.core().lock().expect("no panic holds it").pause(),
            Step::Resume => transport.core().lock().expect("no panic holds it").resume(),
        }
    }
});
