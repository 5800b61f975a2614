use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;

use super::super::testing::{FakeDoorbells, FakeLine, Probe};
use super::*;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};

const BASE: u64 = 0xd000_0000;

struct Rig {
    transport: MmioTransport,
    device: Arc<Mutex<Probe>>,
    doorbells: Arc<FakeDoorbells>,
    line: Arc<FakeLine>,
    driver: FakeDriver,
}

impl Rig {
    fn new() -> Self {
        let (device, driver) = (Probe::new(), FakeDriver::new(16));
        let (doorbells, line) = (Arc::<FakeDoorbells>::default(), Arc::<FakeLine>::default());
        let memory = driver.memory.clone();
        let transport =
            MmioTransport::new(device.clone(), memory, doorbells.clone(), BASE, line.clone())
                .unwrap();
        Self { transport, device, doorbells, line, driver }
    }

    fn read(&self, register: u32) -> u32 {
        let mut data = [0; 4];
        self.transport.read(u64::from(register), &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&self, register: u32, value: u32) {
        self.transport.write(u64::from(register), &value.to_le_bytes());
    }

    fn negotiate(&self, low: u32, high: u32) -> u32 {
        self.write(VIRTIO_MMIO_STATUS, 1);
        self.write(VIRTIO_MMIO_STATUS, 3);
        for (half, value) in [(0, low), (1, high)] {
            self.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
            self.write(VIRTIO_MMIO_DRIVER_FEATURES, value);
        }
        self.write(VIRTIO_MMIO_STATUS, 0xb);
        self.read(VIRTIO_MMIO_STATUS)
    }

    fn set_queue(&self) {
        let layout = self.driver.layout;
        self.write(VIRTIO_MMIO_QUEUE_SEL, 0);
        self.write(VIRTIO_MMIO_QUEUE_NUM, u32::from(layout.size));
        self.write(VIRTIO_MMIO_QUEUE_DESC_LOW, layout.descriptors as u32);
        self.write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, layout.available as u32);
        self.write(VIRTIO_MMIO_QUEUE_USED_LOW, layout.used as u32);
        self.write(VIRTIO_MMIO_QUEUE_READY, 1);
    }

    /// Version 1 and RING_RESET, queue 0 enabled, running.
    fn run(&self) {
        assert_eq!(self.negotiate(0, 1 | 1 << 8), 0xb);
        self.set_queue();
        self.write(VIRTIO_MMIO_STATUS, 0xf);
    }

    fn runs(&self, index: u16) -> bool {
        self.device.lock().unwrap().queues.contains_key(&index)
    }
}

#[test]
fn window_identifies_a_modern_device() {
    let rig = Rig::new();
    assert_eq!(rig.read(VIRTIO_MMIO_MAGIC_VALUE).to_le_bytes(), *b"virt");
    assert_eq!((rig.read(VIRTIO_MMIO_VERSION), rig.read(VIRTIO_MMIO_DEVICE_ID)), (2, 4));
    rig.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    let high = rig.read(VIRTIO_MMIO_DEVICE_FEATURES);
    assert_eq!(high, 1 << (VIRTIO_F_VERSION_1 - 32) | 1 << 8);
    rig.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_eq!(rig.read(VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

#[test]
fn enabled_queue_runs_from_driver_ok_until_reset() {
    let rig = Rig::new();
    rig.run();
    assert!(rig.runs(0) && !rig.runs(1));
    assert_eq!(*rig.doorbells.0.lock().unwrap(), [(BASE + 0x50, Some(0))]);
    rig.write(VIRTIO_MMIO_STATUS, 0);
    assert!(!rig.runs(0));
    assert_eq!(rig.device.lock().unwrap().resets, 1);
    assert!(rig.doorbells.0.lock().unwrap().is_empty());
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0);
}

#[test]
fn features_not_offered_or_without_version_1_are_not_agreed() {
    let rig = Rig::new();
    assert_eq!(rig.negotiate(1 << 7, 1), 3);
    rig.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!(rig.negotiate(1 << 5, 0), 3);
    rig.write(VIRTIO_MMIO_STATUS, 7);
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 3, "DRIVER_OK needs FEATURES_OK");
    assert!(rig.device.lock().unwrap().activation.is_none());
}

#[test]
fn features_and_status_bits_stay_after_features_ok() {
    let rig = Rig::new();
    rig.negotiate(1 << 5, 1);
    rig.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    rig.write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
    rig.write(VIRTIO_MMIO_STATUS, 1);
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0xb);
    rig.write(VIRTIO_MMIO_STATUS, 0xf);
    let features = rig.device.lock().unwrap().activation.as_ref().unwrap().features;
    assert_eq!(features, 1 << 5 | 1 << 32);
}

#[test]
fn impossible_queue_sizes_are_ignored() {
    let rig = Rig::new();
    rig.negotiate(0, 1);
    rig.set_queue();
    rig.write(VIRTIO_MMIO_QUEUE_READY, 0);
    for size in [0, 3, 128, 0x1_0000, 0x1_0010] {
        rig.write(VIRTIO_MMIO_QUEUE_NUM, size);
    }
    rig.set_queue();
    rig.write(VIRTIO_MMIO_STATUS, 0xf);
    assert!(rig.runs(0));
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0xf);
}

#[test]
fn queue_cannot_be_moved_while_it_runs() {
    let rig = Rig::new();
    rig.run();
    rig.write(VIRTIO_MMIO_QUEUE_NUM, 8);
    rig.write(VIRTIO_MMIO_QUEUE_DESC_LOW, 0xdead_0000);
    rig.transport.core().lock().unwrap().pause();
    rig.transport.core().lock().unwrap().resume();
    assert!(rig.runs(0));
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0xf);
}

#[test]
fn queue_outside_memory_makes_the_device_need_a_reset() {
    let rig = Rig::new();
    rig.negotiate(0, 1);
    rig.set_queue();
    rig.write(VIRTIO_MMIO_QUEUE_READY, 0);
    rig.write(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffff);
    rig.write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x8000);
    rig.write(VIRTIO_MMIO_QUEUE_READY, 1);
    rig.write(VIRTIO_MMIO_STATUS, 0xf);
    assert!(!rig.runs(0));
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0x4f);
    assert_eq!(rig.read(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
}

#[test]
fn queue_select_out_of_range_reads_zero_and_writes_nothing() {
    let rig = Rig::new();
    rig.negotiate(0, 1);
    rig.set_queue();
    for select in [2, 0xffff, 0x1_0000] {
        rig.write(VIRTIO_MMIO_QUEUE_SEL, select);
        rig.write(VIRTIO_MMIO_QUEUE_READY, 0);
        assert_eq!(rig.read(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
        assert_eq!(rig.read(VIRTIO_MMIO_QUEUE_READY), 0);
    }
    rig.write(VIRTIO_MMIO_QUEUE_SEL, 0);
    assert_eq!(rig.read(VIRTIO_MMIO_QUEUE_READY), 1);
}

#[test]
fn status_wider_than_its_bits_and_queue_reset_of_zero_are_ignored() {
    let rig = Rig::new();
    rig.run();
    rig.write(VIRTIO_MMIO_STATUS, 0x100);
    rig.write(VIRTIO_MMIO_QUEUE_SEL, 0);
    rig.write(QUEUE_RESET, 0);
    assert!(rig.runs(0));
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0xf);
}

#[test]
fn only_the_device_says_that_it_needs_a_reset() {
    let rig = Rig::new();
    rig.run();
    rig.write(VIRTIO_MMIO_STATUS, 0x4f);
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0xf);
    let interrupt = rig.device.lock().unwrap().activation.as_ref().unwrap().interrupt.clone();
    interrupt.needs_reset("test");
    interrupt.needs_reset("again");
    assert_eq!(*rig.line.0.lock().unwrap(), 1, "the driver is told once");
    // What the driver writes does not take it back; a reset does.
    rig.write(VIRTIO_MMIO_STATUS, 0xf);
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0x4f);
    rig.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!(rig.read(VIRTIO_MMIO_STATUS), 0);
}

#[test]
fn pause_keeps_the_place_and_resume_goes_on_from_it() {
    let mut rig = Rig::new();
    rig.run();
    rig.driver.add(&[Part::Read(DATA, 1)]);
    {
        let mut device = rig.device.lock().unwrap();
        let queue = device.queues.get_mut(&0).unwrap();
        let chain = queue.next().unwrap();
        queue.complete(chain.head, 0);
    }
    rig.transport.core().lock().unwrap().pause();
    assert!(!rig.runs(0));
    rig.transport.core().lock().unwrap().resume();
    let state = rig.device.lock().unwrap().queues[&0].state();
    assert_eq!((state.next_available, state.next_used), (1, 1));
}

#[test]
fn queue_reset_stops_one_queue_which_can_be_enabled_again() {
    let rig = Rig::new();
    rig.run();
    rig.write(VIRTIO_MMIO_QUEUE_SEL, 0);
    rig.write(QUEUE_RESET, 1);
    assert!(!rig.runs(0));
    assert_eq!(rig.read(VIRTIO_MMIO_QUEUE_READY), 0);
    rig.set_queue();
    assert!(rig.runs(0));
}

#[test]
fn interrupts_set_and_acknowledge_their_status_bits() {
    let rig = Rig::new();
    rig.run();
    let interrupt = rig.device.lock().unwrap().activation.as_ref().unwrap().interrupt.clone();
    let generation = rig.read(VIRTIO_MMIO_CONFIG_GENERATION);
    interrupt.queue_used(0);
    interrupt.config_changed();
    assert_eq!(rig.read(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
    assert_ne!(rig.read(VIRTIO_MMIO_CONFIG_GENERATION), generation);
    rig.write(VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_eq!(rig.read(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    assert_eq!(*rig.line.0.lock().unwrap(), 2);
}

#[test]
fn config_space_is_reached_at_any_width() {
    let rig = Rig::new();
    let mut data = [0; 2];
    rig.transport.read(0x103, &mut data);
    assert_eq!(data, [4, 5]);
    rig.transport.write(0x100, &[9]);
    rig.transport.read(0x100, &mut data);
    assert_eq!(data, [9, 2]);
}

#[test]
fn odd_register_access_reads_zero_and_writes_nothing() {
    let rig = Rig::new();
    rig.transport.write(u64::from(VIRTIO_MMIO_STATUS), &[1]);
    let mut data = [0xff; 2];
    rig.transport.read(0, &mut data);
    assert_eq!((data, rig.read(VIRTIO_MMIO_STATUS)), ([0; 2], 0));
}

#[test]
fn notification_that_reaches_the_transport_rings_the_queue() {
    let rig = Rig::new();
    rig.write(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
    rig.write(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
    assert_eq!(rig.transport.kicks[1].read().unwrap(), 1);
    assert!(rig.transport.kicks[0].read().is_err());
}
