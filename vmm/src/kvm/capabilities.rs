//! What the host's KVM can do.

use kvm_bindings as raw;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $number:ident,)*) => {
        /// A capability of KVM that the monitor uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Capability {
            $($(#[$doc])* $variant,)*
        }

        impl Capability {
            /// Every capability that the monitor knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// KVM's name, as in `linux/kvm.h`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($number),)* }
            }

            /// KVM's number.
            pub(crate) fn number(self) -> u32 {
                match self { $(Self::$variant => raw::$number,)* }
            }

            /// What to call the capability with this number of KVM's.
            pub(crate) fn name_of(number: u32) -> String {
                match Self::ALL.iter().find(|capability| capability.number() == number) {
                    Some(capability) => capability.name().to_owned(),
                    None => format!("capability {number}"),
                }
            }
        }
    };
}

capabilities! {
    /// In-kernel interrupt controllers.
    Irqchip = KVM_CAP_IRQCHIP,
    /// Guest memory from user space.
    UserMemory = KVM_CAP_USER_MEMORY,
    /// CPUID can be set.
    ExtCpuid = KVM_CAP_EXT_CPUID,
    /// TSS address can be set.
    SetTssAddr = KVM_CAP_SET_TSS_ADDR,
    /// Page of the identity map can be set.
    SetIdentityMapAddr = KVM_CAP_SET_IDENTITY_MAP_ADDR,
    /// MP state of a vCPU can be read and set.
    MpState = KVM_CAP_MP_STATE,
    /// Interrupts by eventfd.
    Irqfd = KVM_CAP_IRQFD,
    /// Doorbells by eventfd.
    Ioeventfd = KVM_CAP_IOEVENTFD,
    /// Interrupt routing table.
    IrqRouting = KVM_CAP_IRQ_ROUTING,
    /// Message-signalled interrupts by ioctl.
    SignalMsi = KVM_CAP_SIGNAL_MSI,
    /// Prompt return from `KVM_RUN`.
    ImmediateExit = KVM_CAP_IMMEDIATE_EXIT,
    /// TSC deadline timer in the local APIC.
    TscDeadlineTimer = KVM_CAP_TSC_DEADLINE_TIMER,
    /// TSC frequency can be read.
    GetTscKhz = KVM_CAP_GET_TSC_KHZ,
    /// TSC frequency can be set.
    TscControl = KVM_CAP_TSC_CONTROL,
    /// Paravirtual clock can be adjusted.
    AdjustClock = KVM_CAP_ADJUST_CLOCK,
    /// 32-bit APIC ids.
    X2apicApi = KVM_CAP_X2APIC_API,
    /// Local APIC in the kernel, rest in user space.
    SplitIrqchip = KVM_CAP_SPLIT_IRQCHIP,
    /// Extended state.
    Xsave2 = KVM_CAP_XSAVE2,
    /// Dirty page ring.
    DirtyLogRing = KVM_CAP_DIRTY_LOG_RING,
    /// Manual dirty log protection.
    ManualDirtyLogProtect = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
    /// Guest memory not mapped in user space.
    GuestMemfd = KVM_CAP_GUEST_MEMFD,
    /// Guests that are hypervisors.
    NestedState = KVM_CAP_NESTED_STATE,
}

impl Capability {
    /// What no VM can start without.
    pub const REQUIRED: [Self; 9] = [
        Self::Irqchip,
        Self::UserMemory,
        Self::ExtCpuid,
        Self::MpState,
        Self::Irqfd,
        Self::Ioeventfd,
        Self::IrqRouting,
        Self::SignalMsi,
        Self::ImmediateExit,
    ];
}

/// A report of what KVM offers.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// API version, 12.
    pub api_version: i32,
    /// vCPUs KVM recommends at most.
    pub recommended_vcpus: usize,
    /// vCPUs KVM allows at most.
    pub max_vcpus: usize,
    /// Memory slots per VM.
    pub memory_slots: usize,
    /// What is there, in the order of [`Capability::ALL`].
    pub present: Vec<Capability>,
}

impl Capabilities {
    /// Asks `kvm`.
    pub(super) fn probe(kvm: &kvm_ioctls::Kvm) -> Self {
        Self {
            api_version: kvm.get_api_version(),
            recommended_vcpus: kvm.get_nr_vcpus(),
            max_vcpus: kvm.get_max_vcpus(),
            memory_slots: kvm.get_nr_memslots(),
            present: Capability::ALL
                .iter()
                .copied()
                .filter(|c| kvm.check_extension_raw(c.number().into()) > 0)
                .collect(),
        }
    }

    /// Whether `capability` is present.
    pub fn has(&self, capability: Capability) -> bool {
        self.present.contains(&capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel_header() {
        assert_eq!(Capability::Irqfd.name(), "KVM_CAP_IRQFD");
        assert_eq!(Capability::X2apicApi.number(), 129);
        assert_eq!(Capability::name_of(129), "KVM_CAP_X2APIC_API");
        assert_eq!(Capability::name_of(9999), "capability 9999");
    }
}
