//! Guest-visible hardware: buses, interrupts, PCI, virtio transports and devices, and their backends.
