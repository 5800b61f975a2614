//! Numbers of ioctl requests on x86-64: `linux/kvm.h`, `linux/fs.h`, `linux/if_tun.h`,
//! `asm/ioctls.h`. Each with its name there.

/// A name and a number.
pub(super) type Ioctl = (&'static str, u32);

/// Running a virtual processor, and its state.
pub(super) const VCPU: &[Ioctl] = &[
    ("KVM_RUN", 0xae80),
    ("KVM_GET_REGS", 0x8090_ae81),
    ("KVM_SET_REGS", 0x4090_ae82),
    ("KVM_GET_SREGS", 0x8138_ae83),
    ("KVM_SET_SREGS", 0x4138_ae84),
    ("KVM_GET_SREGS2", 0x8140_aecc),
    ("KVM_SET_SREGS2", 0x4140_aecd),
    ("KVM_TRANSLATE", 0xc018_ae85),
    ("KVM_INTERRUPT", 0x4004_ae86),
    ("KVM_GET_MSRS", 0xc008_ae88),
    ("KVM_SET_MSRS", 0x4008_ae89),
    ("KVM_GET_FPU", 0x81a0_ae8c),
    ("KVM_SET_FPU", 0x41a0_ae8d),
    ("KVM_GET_LAPIC", 0x8400_ae8e),
    ("KVM_SET_LAPIC", 0x4400_ae8f),
    ("KVM_GET_CPUID2", 0xc008_ae91),
    ("KVM_SET_CPUID2", 0x4008_ae90),
    ("KVM_GET_MP_STATE", 0x8004_ae98),
    ("KVM_SET_MP_STATE", 0x4004_ae99),
    ("KVM_NMI", 0xae9a),
    ("KVM_SET_GUEST_DEBUG", 0x4048_ae9b),
    ("KVM_GET_VCPU_EVENTS", 0x8040_ae9f),
    ("KVM_SET_VCPU_EVENTS", 0x4040_aea0),
    ("KVM_GET_DEBUGREGS", 0x8080_aea1),
    ("KVM_SET_DEBUGREGS", 0x4080_aea2),
    ("KVM_GET_XSAVE", 0x9000_aea4),
    ("KVM_GET_XSAVE2", 0x9000_aecf),
    ("KVM_SET_XSAVE", 0x5000_aea5),
    ("KVM_GET_XCRS", 0x8188_aea6),
    ("KVM_SET_XCRS", 0x4188_aea7),
    ("KVM_KVMCLOCK_CTRL", 0xaead),
    ("KVM_GET_TSC_KHZ", 0xaea3),
    ("KVM_SET_TSC_KHZ", 0xaea2),
    ("KVM_HAS_DEVICE_ATTR", 0x4018_aee3),
    ("KVM_GET_DEVICE_ATTR", 0x4018_aee2),
    ("KVM_SET_DEVICE_ATTR", 0x4018_aee1),
];

/// Interrupts. Routes are set by whoever raises one after they changed.
pub(super) const INTERRUPTS: &[Ioctl] = &[
    ("KVM_IRQ_LINE", 0x4008_ae61),
    ("KVM_SIGNAL_MSI", 0x4020_aea5),
    ("KVM_SET_GSI_ROUTING", 0x4008_ae6a),
    ("KVM_IRQFD", 0x4020_ae76),
];

/// Doorbells, which drivers place by processors' writes.
pub(super) const DOORBELLS: &[Ioctl] = &[("KVM_IOEVENTFD", 0x4040_ae79)];

/// The rest of a virtual machine.
pub(super) const MACHINE: &[Ioctl] = &[
    ("KVM_CHECK_EXTENSION", 0xae03),
    ("KVM_GET_VCPU_MMAP_SIZE", 0xae04),
    ("KVM_CREATE_VCPU", 0xae41),
    ("KVM_SET_USER_MEMORY_REGION", 0x4020_ae46),
    ("KVM_SET_USER_MEMORY_REGION2", 0x40a0_ae49),
    ("KVM_GET_DIRTY_LOG", 0x4010_ae42),
    ("KVM_CLEAR_DIRTY_LOG", 0xc018_aec0),
    ("KVM_RESET_DIRTY_RINGS", 0xaec7),
    ("KVM_GET_IRQCHIP", 0xc208_ae62),
    ("KVM_SET_IRQCHIP", 0x8208_ae63),
    ("KVM_GET_PIT2", 0x8070_ae9f),
    ("KVM_SET_PIT2", 0x4070_aea0),
    ("KVM_GET_CLOCK", 0x8030_ae7c),
    ("KVM_SET_CLOCK", 0x4030_ae7b),
];

/// Any descriptor.
pub(super) const FILES: &[Ioctl] = &[("FIONBIO", 0x5421), ("FIOCLEX", 0x5451)];

/// Block devices.
pub(super) const BLOCK: &[Ioctl] = &[
    ("BLKDISCARD", 0x1277),
    ("BLKZEROOUT", 0x127f),
    ("BLKGETSIZE64", 0x8008_1272),
    ("BLKSSZGET", 0x1268),
    ("BLKPBSZGET", 0x127b),
    ("BLKIOMIN", 0x1278),
    ("BLKIOOPT", 0x1279),
    ("BLKROGET", 0x125e),
];

/// A tap interface in use.
pub(super) const TAP: &[Ioctl] = &[("TUNSETOFFLOAD", 0x4004_54d0), ("TUNSETQUEUE", 0x4004_54d9)];

/// A tap interface that is opened.
pub(super) const OPEN_TAP: &[Ioctl] = &[
    ("TUNSETIFF", 0x4004_54ca),
    ("TUNGETIFF", 0x8004_54d2),
    ("TUNSETVNETHDRSZ", 0x4004_54d8),
    ("TUNGETFEATURES", 0x8004_54cf),
];

/// Terminals.
pub(super) const TERMINAL: &[Ioctl] = &[
    ("TCGETS", 0x5401),
    ("TCSETS", 0x5402),
    ("TCSETSW", 0x5403),
    ("TCSETSF", 0x5404),
    ("TCGETS2", 0x802c_542a),
    ("TCSETS2", 0x402c_542b),
    ("TIOCGWINSZ", 0x5413),
];

/// Pseudo-terminals that are made.
pub(super) const OPEN_PTY: &[Ioctl] = &[("TIOCGPTN", 0x8004_5430), ("TIOCSPTLCK", 0x4004_5431)];
