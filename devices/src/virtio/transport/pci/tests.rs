use super::super::testing::{FakeDoorbells, Probe};
use super::*;
use crate::interrupt::MsiMessage;
use crate::pci::msix::testing::FakeMsi;
use crate::virtio::fake_driver::FakeDriver;

const BASE: u64 = 0x40_0000_0000;

struct Rig {
    transport: PciTransport,
    device: Arc<Mutex<Probe>>,
    doorbells: Arc<FakeDoorbells>,
    msi: FakeMsi,
    driver: FakeDriver,
}

impl Rig {
    fn new() -> Self {
        let (device, driver) = (Probe::new(), FakeDriver::new(16));
        let (doorbells, msi) = (Arc::<FakeDoorbells>::default(), FakeMsi::default());
        let memory = driver.memory.clone();
        let transport =
            PciTransport::new(device.clone(), memory, doorbells.clone(), &msi, BASE).unwrap();
        Self { transport, device, doorbells, msi, driver }
    }

    fn read<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut data = [0xee; N];
        self.transport.read(offset, &mut data);
        data
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.transport.write(offset, data);
    }

    fn config<const N: usize>(&self, offset: u16) -> [u8; N] {
        let mut data = [0xee; N];
        self.transport.read_config(offset, &mut data);
        data
    }

    /// Offsets of the capabilities: id, virtio structure type and place.
    fn capabilities(&self) -> Vec<(u8, u8, u16)> {
        let mut list = Vec::new();
        let mut at = u16::from(self.config::<1>(0x34)[0]);
        while at != 0 {
            let [id, next, _, kind] = self.config(at);
            list.push((id, kind, at));
            at = u16::from(next);
        }
        list
    }

    /// Version 1, vectors 1 and 0 for queue 0 and configuration, running.
    fn run(&self) {
        let layout = self.driver.layout;
        self.write(0x14, &[3]);
        self.write(0x08, &1u32.to_le_bytes());
        self.write(0x0c, &1u32.to_le_bytes());
        self.write(0x14, &[0xb]);
        self.write(0x10, &0u16.to_le_bytes());
        self.write(0x16, &0u16.to_le_bytes());
        self.write(0x18, &layout.size.to_le_bytes());
        self.write(0x1a, &1u16.to_le_bytes());
        self.write(0x20, &layout.descriptors.to_le_bytes());
        self.write(0x28, &(layout.available as u32).to_le_bytes());
        self.write(0x30, &layout.used.to_le_bytes());
        self.write(0x1c, &1u16.to_le_bytes());
        self.write(0x14, &[0xf]);
    }

    fn enable_msix(&self) {
        let (_, _, at) = *self.capabilities().iter().find(|c| c.0 == CAP_MSIX).unwrap();
        for vector in 0..3 {
            let entry = MSIX_TABLE + 16 * vector;
            self.write(entry, &0xfee0_0000u32.to_le_bytes());
            self.write(entry + 8, &(0x30 + vector as u32).to_le_bytes());
            self.write(entry + 12, &0u32.to_le_bytes());
        }
        self.transport.write_config(at + 2, &0x8000u16.to_le_bytes());
    }
}

#[test]
fn function_has_every_virtio_capability_and_msix() {
    let rig = Rig::new();
    assert_eq!(rig.config(0), [0xf4, 0x1a, 0x44, 0x10]);
    let kinds: Vec<_> = rig.capabilities().iter().map(|c| (c.0, c.1)).collect();
    assert_eq!(&kinds[..5], [(9, 1), (9, 3), (9, 4), (9, 2), (9, 5)]);
    let (id, _, at) = rig.capabilities()[5];
    assert_eq!((id, rig.config(at + 2)), (CAP_MSIX, 2u16.to_le_bytes()), "three vectors");
}

#[test]
fn queue_runs_with_a_doorbell_of_its_own() {
    let rig = Rig::new();
    rig.run();
    assert!(rig.device.lock().unwrap().queues.contains_key(&0));
    assert_eq!(*rig.doorbells.0.lock().unwrap(), [(BASE + DOORBELLS, None)]);
    rig.write(0x16, &1u16.to_le_bytes());
    assert_eq!(rig.read(0x1e), 1u16.to_le_bytes());
    assert_eq!(rig.read(0x12), 2u16.to_le_bytes());
}

#[test]
fn used_buffers_arrive_by_the_queues_vector() {
    let rig = Rig::new();
    rig.enable_msix();
    rig.run();
    let interrupt = rig.device.lock().unwrap().activation.as_ref().unwrap().interrupt.clone();
    interrupt.queue_used(0);
    interrupt.queue_used(1);
    interrupt.config_changed();
    let message = |data| MsiMessage { address: 0xfee0_0000, data };
    assert_eq!(rig.msi.delivered(), [message(0x31), message(0x30)]);
    assert_eq!(rig.read(ISR), [ISR_CONFIG]);
    assert_eq!(rig.read(ISR), [0]);
}

#[test]
fn driver_without_msix_finds_interrupts_in_the_status_registers() {
    let rig = Rig::new();
    rig.run();
    let interrupt = rig.device.lock().unwrap().activation.as_ref().unwrap().interrupt.clone();
    assert_eq!(rig.config::<2>(6)[0] & INTERRUPT_STATUS, 0);
    interrupt.queue_used(0);
    interrupt.config_changed();
    assert!(rig.msi.delivered().is_empty());
    assert_eq!(rig.config::<2>(6)[0] & INTERRUPT_STATUS, INTERRUPT_STATUS);
    assert_eq!(rig.config::<4>(4)[2] & INTERRUPT_STATUS, INTERRUPT_STATUS);
    assert_eq!(rig.read(ISR), [ISR_QUEUE | ISR_CONFIG]);
    assert_eq!(rig.config::<2>(6)[0] & INTERRUPT_STATUS, 0);
    rig.enable_msix();
    assert!(rig.msi.delivered().is_empty(), "they came when MSI-X was off");
}

#[test]
fn interrupt_of_before_a_reset_is_not_delivered_after_it() {
    let rig = Rig::new();
    rig.enable_msix();
    rig.run();
    let interrupt = rig.device.lock().unwrap().activation.as_ref().unwrap().interrupt.clone();
    rig.write(MSIX_TABLE + 16 + 12, &1u32.to_le_bytes());
    interrupt.queue_used(0);
    assert_eq!(rig.read(MSIX_PENDING), [2]);
    rig.write(0x14, &[0]);
    rig.write(MSIX_TABLE + 16 + 12, &0u32.to_le_bytes());
    assert!(rig.msi.delivered().is_empty());
}

#[test]
fn vector_out_of_range_reads_back_as_none() {
    let rig = Rig::new();
    rig.write(0x10, &3u16.to_le_bytes());
    assert_eq!(rig.read(0x10), [0xff, 0xff]);
    rig.write(0x16, &9u16.to_le_bytes());
    rig.write(0x1a, &1u16.to_le_bytes());
    assert_eq!(rig.read(0x1a), [0xff, 0xff]);
}

#[test]
fn reset_forgets_vectors_and_queues() {
    let rig = Rig::new();
    rig.enable_msix();
    rig.run();
    rig.write(0x14, &[0]);
    assert_eq!((rig.read(0x14), rig.read(0x10)), ([0], [0xff, 0xff]));
    assert!(rig.device.lock().unwrap().queues.is_empty());
    assert_eq!(rig.read(0x1c), [0, 0]);
    assert!(rig.doorbells.0.lock().unwrap().is_empty());
}

#[test]
fn reset_of_a_device_that_was_not_begun_with_forgets_vectors_too() {
    let rig = Rig::new();
    rig.write(0x10, &1u16.to_le_bytes());
    rig.write(0x14, &[0]);
    assert_eq!(rig.read(0x10), [0xff, 0xff]);
}

#[test]
fn queue_size_cannot_be_impossible_nor_change_while_the_queue_runs() {
    let rig = Rig::new();
    for size in [0u16, 3, 65, 128, 0x8000] {
        rig.write(0x18, &size.to_le_bytes());
        assert_eq!(rig.read(0x18), 64u16.to_le_bytes(), "{size}");
    }
    rig.run();
    for size in [0u16, 8, 64] {
        rig.write(0x18, &size.to_le_bytes());
        rig.write(0x1c, &0u16.to_le_bytes());
        assert_eq!((rig.read(0x18), rig.read(0x1c)), (16u16.to_le_bytes(), [1, 0]), "{size}");
    }
    assert_eq!(rig.device.lock().unwrap().queues[&0].size(), 16);
}

#[test]
fn queue_select_out_of_range_reads_zero_and_writes_nothing() {
    let rig = Rig::new();
    rig.run();
    for select in [2u16, 0x8000, 0xffff] {
        rig.write(0x16, &select.to_le_bytes());
        rig.write(0x18, &4u16.to_le_bytes());
        rig.write(0x20, &0x1000u64.to_le_bytes());
        rig.write(0x1c, &1u16.to_le_bytes());
        rig.write(0x3a, &1u16.to_le_bytes());
        assert_eq!((rig.read(0x18), rig.read(0x1c), rig.read(0x20)), ([0; 2], [0; 2], [0; 8]));
    }
    rig.write(0x16, &0u16.to_le_bytes());
    assert_eq!(rig.read(0x1c), [1, 0]);
}

#[test]
fn addresses_are_read_whole_and_by_halves() {
    let rig = Rig::new();
    rig.write(0x28, &0x4000u32.to_le_bytes());
    rig.write(0x2c, &0x12u32.to_le_bytes());
    assert_eq!(rig.read(0x28), 0x12_0000_4000u64.to_le_bytes());
    assert_eq!(rig.read(0x2c), 0x12u32.to_le_bytes());
}

#[test]
fn access_window_reaches_the_bar() {
    let rig = Rig::new();
    let (.., at) = *rig.capabilities().iter().find(|c| c.1 == 5).unwrap();
    rig.transport.write_config(at + 8, &0x12u32.to_le_bytes());
    rig.transport.write_config(at + 12, &2u32.to_le_bytes());
    assert_eq!(rig.config::<2>(at + 16), 2u16.to_le_bytes());
    rig.transport.write_config(at + 8, &0x14u32.to_le_bytes());
    rig.transport.write_config(at + 12, &1u32.to_le_bytes());
    rig.transport.write_config(at + 16, &[3]);
    assert_eq!(rig.read(0x14), [3]);
    rig.transport.write_config(at + 8, &0xffff_fff0u32.to_le_bytes());
    rig.transport.write_config(at + 16, &[0]);
    assert_eq!(rig.read(0x14), [3], "a window beyond the BAR writes nothing");
}

#[test]
fn odd_access_to_common_configuration_reads_zero() {
    let rig = Rig::new();
    assert_eq!(rig.read(0x01), [0; 2]);
    assert_eq!(rig.read(0x14), [0; 4]);
    assert_eq!(rig.read(0x3f), [0; 8]);
    rig.write(0x14, &[3, 0]);
    assert_eq!(rig.read(0x14), [0]);
}

#[test]
fn doorbell_that_reaches_the_transport_rings_the_queue() {
    let rig = Rig::new();
    rig.write(DOORBELLS + 4, &1u16.to_le_bytes());
    rig.write(DOORBELLS + 8, &2u16.to_le_bytes());
    assert_eq!(rig.transport.kicks[1].read().unwrap(), 1);
    assert!(rig.transport.kicks[0].read().is_err());
}
