use super::*;

fn leaf(function: u32, index: u32, regs: [u32; 4]) -> kvm_cpuid_entry2 {
    let [eax, ebx, ecx, edx] = regs;
    kvm_cpuid_entry2 { function, index, eax, ebx, ecx, edx, ..Default::default() }
}

fn intel() -> Supported {
    let leaves = vec![
        leaf(0, 0, [0xd, u32::from_le_bytes(*b"Genu"), 0, 0]),
        leaf(1, 0, [0x806f8, 0x0712_0800, 1 << 3 | 1 << 15, 0]),
        leaf(4, 0, [0x1c00_4121, 0, 0, 0]),
        leaf(4, 3, [0x1c07_c163, 0, 0, 0]),
        leaf(5, 0, [0x40, 0x40, 3, 0]),
        leaf(7, 0, [0, 1 << 2 | 1 << 25 | 1 << 5, 0, 0]),
        leaf(0xa, 0, [0x0730_0402, 0, 0, 0x603]),
        leaf(0xb, 0, [1, 2, 0x100, 7]),
        leaf(0xb, 1, [4, 8, 0x201, 7]),
        leaf(0x4000_0000, 0, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
        leaf(0x4000_0001, 0, [0x0100_7efb, 0, 0, 0]),
        leaf(0x8000_0000, 0, [0x8000_0021, 0, 0, 0]),
        leaf(0x8000_0008, 0, [0x302e, 0, 0, 0]),
    ];
    Supported { leaves, tsc_deadline: true }
}

fn amd() -> Supported {
    let mut supported = intel();
    supported.leaves[0].ebx = u32::from_le_bytes(*b"Auth");
    supported.leaves.push(leaf(0x8000_0001, 0, [0, 0, 1 << 23, 0]));
    supported.leaves.push(leaf(0x8000_001d, 0, [0x7c121, 0, 0, 0]));
    supported.leaves.push(leaf(0x8000_001d, 3, [0x7c163, 0, 0, 0]));
    supported.leaves.push(leaf(0x8000_001e, 0, [9, 9, 9, 0]));
    supported
}

const CLOCKS: Frequencies = Frequencies { tsc_khz: 2_345_678 };

fn guest(supported: &Supported, vcpus: u8, threads_per_core: u8, apic_id: u32) -> CpuId {
    let topology = Topology { vcpus, threads_per_core };
    Cpuid::new(supported, topology, &[]).for_vcpu(apic_id, CLOCKS).unwrap()
}

fn get(cpuid: &CpuId, function: u32, index: u32) -> Option<[u32; 4]> {
    find(cpuid.as_slice(), function, index).map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
}

#[test]
fn the_hypervisor_bit_and_the_deadline_timer_are_on_monitor_is_off() {
    let ecx = get(&guest(&intel(), 1, 1, 0), 1, 0).unwrap()[2];
    assert_eq!(ecx, 1 << 31 | 1 << 24 | 1 << 21);
}

#[test]
fn leaves_for_absent_hardware_are_gone() {
    let cpuid = guest(&intel(), 1, 1, 0);
    assert_eq!(get(&cpuid, 5, 0), None);
    assert_eq!(get(&cpuid, 0xa, 0), None);
    assert_eq!(get(&cpuid, 7, 0).unwrap()[1], 1 << 5);
}

#[test]
fn the_host_does_not_tell_the_guest_of_its_page_faults() {
    let features = get(&guest(&intel(), 1, 1, 0), 0x4000_0001, 0).unwrap()[0];
    assert_eq!(features, 0x0100_7efb & !(1 << 4 | 1 << 10 | 1 << 14));
}

#[test]
fn the_highest_extended_leaf_exists() {
    assert_eq!(get(&guest(&intel(), 1, 1, 0), 0x8000_0000, 0).unwrap()[0], 0x8000_0008);
}

#[test]
fn each_vcpu_sees_its_apic_id_in_every_leaf() {
    let cpuid = guest(&intel(), 200, 1, 199);
    assert_eq!(get(&cpuid, 1, 0).unwrap()[1] >> 24, 199);
    assert_eq!(get(&cpuid, 0xb, 0).unwrap()[3], 199);
    assert_eq!(get(&cpuid, 0xb, 1).unwrap()[3], 199);
    assert_eq!(get(&guest(&amd(), 8, 1, 5), 0x8000_001e, 0).unwrap()[0], 5);
}

#[test]
fn eight_vcpus_of_two_threads_are_four_cores() {
    let cpuid = guest(&intel(), 8, 2, 5);
    assert_eq!(get(&cpuid, 0xb, 0), Some([1, 2, 0x100, 5]));
    assert_eq!(get(&cpuid, 0xb, 1), Some([3, 8, 0x201, 5]));
    assert_eq!(get(&cpuid, 0xb, 2), Some([0, 0, 2, 5]));
    assert_eq!(get(&cpuid, 1, 0).unwrap()[1] >> 16 & 0xff, 8);
}

#[test]
fn intel_caches_are_shared_by_core_and_by_package() {
    let cpuid = guest(&intel(), 8, 2, 0);
    let sharing = |index| get(&cpuid, 4, index).unwrap()[0] >> 14 & 0xfff;
    assert_eq!((sharing(0), sharing(3)), (1, 7));
    assert_eq!(get(&cpuid, 4, 0).unwrap()[0] >> 26, 3);
}

#[test]
fn one_vcpu_is_no_hyperthreading_package() {
    let cpuid = guest(&intel(), 1, 2, 0);
    assert_eq!(get(&cpuid, 1, 0).unwrap()[3] & 1 << 28, 0);
    assert_eq!(get(&cpuid, 0xb, 0), Some([0, 1, 0x100, 0]));
}

#[test]
fn amd_leaves_tell_cores_threads_and_caches() {
    let cpuid = guest(&amd(), 8, 2, 5);
    assert_eq!(get(&cpuid, 0x8000_0008, 0).unwrap()[2], 3 << 12 | 7);
    assert_eq!(get(&cpuid, 0x8000_001e, 0), Some([5, 1 << 8 | 2, 0, 0]));
    assert_eq!(get(&cpuid, 0x8000_001d, 0).unwrap()[0] >> 14 & 0xfff, 1);
    assert_eq!(get(&cpuid, 0x8000_001d, 3).unwrap()[0] >> 14 & 0xfff, 7);
    assert_eq!(get(&cpuid, 0x8000_0001, 0).unwrap()[2], 1 << 22 | 1 << 1);
}

#[test]
fn the_tsc_frequency_can_be_computed_from_leaf_15() {
    let cpuid = guest(&intel(), 1, 1, 0);
    let [denominator, numerator, crystal, _] = get(&cpuid, 0x15, 0).unwrap();
    let hz = u64::from(crystal) * u64::from(numerator) / u64::from(denominator);
    assert_eq!(hz, 2_345_678_000);
    assert_eq!(get(&cpuid, 0, 0).unwrap()[0], 0x16);
    assert_eq!(get(&cpuid, 0x16, 0).unwrap()[0], 2345);
}

#[test]
fn the_hypervisor_leaf_tells_tsc_and_lapic_frequencies() {
    let cpuid = guest(&amd(), 1, 1, 0);
    assert_eq!(get(&cpuid, 0x4000_0000, 0).unwrap()[0], 0x4000_0010);
    assert_eq!(get(&cpuid, 0x4000_0010, 0), Some([2_345_678, 1_000_000, 0, 0]));
    assert_eq!(get(&cpuid, 0x15, 0), None);
}

#[test]
fn templates_change_bits_and_must_name_existing_leaves() {
    let modifier = |leaf: u32| {
        serde_json::from_value::<CpuidModifier>(serde_json::json!({
            "leaf": leaf, "subleaf": 0,
            "registers": [{"register": "ebx", "bits": "0bx0xxxxx"}]
        }))
        .unwrap()
    };
    let topology = Topology { vcpus: 1, threads_per_core: 1 };
    let cpuid = Cpuid::new(&intel(), topology, &[modifier(7)]);
    assert_eq!(get(&cpuid.for_vcpu(0, CLOCKS).unwrap(), 7, 0).unwrap()[1], 0);
    let error = Cpuid::new(&intel(), topology, &[modifier(0x99)]).for_vcpu(0, CLOCKS).unwrap_err();
    assert!(matches!(error, CpuidError::NoSuchLeaf { leaf: 0x99, subleaf: 0 }));
}
