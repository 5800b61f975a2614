//! What is written is read back.

use super::*;
use crate::{
    BalloonSpec, BitPattern, CacheMode, Component, CpuTemplate, CpuidModifier, CpuidRegister,
    CpuidRegisterModifier, DiskCompositeSpec, DiskEngine, DiskFileSpec, DiskFormat, DiskSpec,
    FsCache, FsSpec, HostFolderSpec, MacAddr, MemoryBacking, MsrModifier, NetSpec, RateLimiter,
    Slot, StreamSpec, TapSpec, TokenBucket, Transport, VsockSpec, VsockUnixSpec,
};

fn any_bucket() -> impl Strategy<Value = Option<TokenBucket>> {
    let bucket = (any::<u64>(), any::<u64>(), any::<Option<u64>>()).prop_map(
        |(size, refill_time_ms, one_time_burst)| TokenBucket {
            size,
            refill_time_ms,
            one_time_burst,
        },
    );
    proptest::option::of(bucket)
}

fn any_limiter() -> impl Strategy<Value = RateLimiter> {
    (any_bucket(), any_bucket()).prop_map(|(bandwidth, ops)| RateLimiter { bandwidth, ops })
}

fn any_slot() -> impl Strategy<Value = Option<Slot>> {
    proptest::option::of((1u8..=30).prop_map(|n| Slot::try_from(n).unwrap()))
}

fn any_id() -> impl Strategy<Value = ComponentId> {
    // Often one of few, so that references meet.
    prop_oneof!["[abcdef]", "[A-Za-z0-9_.-]{1,80}"].prop_map(|text| id(&text))
}

fn any_disk() -> impl Strategy<Value = Component> {
    (any_id(), any_slot(), any::<[bool; 4]>(), any::<u16>(), any_limiter(), "[ -~]{0,20}").prop_map(
        |(backend, slot, [root, read_only, discard, cached], queues, rate_limiter, serial)| {
            Component::Disk(DiskSpec {
                slot,
                root,
                read_only,
                discard,
                queues,
                rate_limiter,
                serial: Some(serial),
                cache: if cached { CacheMode::Writeback } else { CacheMode::Unsafe },
                ..DiskSpec::new(backend)
            })
        },
    )
}

fn any_net() -> impl Strategy<Value = Component> {
    (any_id(), any_slot(), any::<Option<[u8; 6]>>(), any::<Option<u16>>(), any_limiter()).prop_map(
        |(backend, slot, mac, mtu, rx_rate_limiter)| {
            Component::Net(NetSpec {
                slot,
                mac: mac.map(MacAddr::new),
                mtu,
                rx_rate_limiter,
                ..NetSpec::new(backend)
            })
        },
    )
}

fn any_component() -> impl Strategy<Value = Component> {
    prop_oneof![
        any_disk(),
        any_net(),
        "/[ -~]{0,40}".prop_map(|path| Component::DiskFile(DiskFileSpec {
            path: path.into(),
            format: DiskFormat::Raw,
            engine: DiskEngine::Async,
        })),
        (any_id(), any_slot(), "\\PC{0,20}", any::<u16>()).prop_map(
            |(backend, slot, tag, queues)| {
                Component::Fs(FsSpec { slot, queues, ..FsSpec::new(backend, tag) })
            }
        ),
        ("/[ -~]{0,40}", any::<bool>()).prop_map(|(path, read_only)| {
            let cache = if read_only { FsCache::Always } else { FsCache::None };
            Component::HostFolder(HostFolderSpec { path: path.into(), read_only, cache })
        }),
        prop::collection::vec("/[ -~]{0,40}", 0..4).prop_map(|parts| {
            let parts = parts.into_iter().map(Into::into).collect();
            Component::DiskComposite(DiskCompositeSpec { parts })
        }),
        "[a-z]{1,15}".prop_map(|name| Component::Tap(TapSpec { name })),
        (any_id(), any::<u32>()).prop_map(|(backend, cid)| Component::Vsock(VsockSpec {
            backend,
            slot: None,
            cid
        })),
        "/[ -~]{0,40}".prop_map(|path| Component::VsockUnix(VsockUnixSpec { path: path.into() })),
        any::<u32>().prop_map(|size| Component::Stream(StreamSpec::Ring { size })),
        Just(Component::Stream(StreamSpec::Stdio {})),
        (any::<u64>(), any::<[bool; 3]>()).prop_map(|(mib, [oom, hint, report])| {
            Component::Balloon(BalloonSpec {
                target: Mib(mib),
                deflate_on_oom: oom,
                free_page_hinting: hint,
                free_page_reporting: report,
                ..BalloonSpec::default()
            })
        }),
    ]
}

fn any_template() -> impl Strategy<Value = CpuTemplate> {
    (any::<[u32; 5]>(), any::<[u64; 2]>()).prop_map(|([leaf, subleaf, flags, m, v], [wm, wv])| {
        let register =
            CpuidRegisterModifier { register: CpuidRegister::Ecx, bits: BitPattern::new(m, v) };
        CpuTemplate {
            capabilities: vec![crate::CapabilityModifier::Require(leaf)],
            cpuid: vec![CpuidModifier { leaf, subleaf, flags, registers: vec![register] }],
            msrs: vec![MsrModifier { index: subleaf, bits: BitPattern::new(wm, wv) }],
        }
    })
}

prop_compose! {
    fn any_spec()(
        components in proptest::collection::btree_map(any_id(), any_component(), 0..8),
        template in any_template(),
        count in prop_oneof![Just(2), any::<u8>()],
        mib in prop_oneof![Just(64), any::<u64>()],
        cmdline in prop_oneof!["[ -~]{0,60}", "\\PC{0,60}"],
        mmio in any::<bool>(),
    ) -> VmSpec {
        let mut spec = VmSpec::new(BootSpec { kernel: "/k".into(), initrd: None, cmdline });
        spec.cpu.count = count;
        spec.cpu.template = template;
        spec.memory.size = Mib(mib);
        spec.memory.backing = MemoryBacking::Hugetlb2M;
        spec.board.transport = if mmio { Transport::Mmio } else { Transport::Pci };
        spec.components = components;
        spec
    }
}

proptest! {
    #[test]
    fn document_survives_writing_and_reading(spec in any_spec()) {
        let text = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<VmSpec>(&text).unwrap(), spec);
    }

    /// Whatever a document says, checking it ends, and a machine has one device per slot.
    #[test]
    fn checking_any_document_ends(spec in any_spec()) {
        if let Ok(machine) = Machine::try_from(spec) {
            let slots: Vec<_> = machine.devices().iter().map(|d| d.slot).collect();
            prop_assert!(slots.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(machine.cmdline().len() <= crate::MAX_CMDLINE);
        }
    }
}
