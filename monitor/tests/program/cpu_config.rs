//! Changes to the guest's processors, as the guest sees them.

use serde_json::{Value, json};

use super::harness::{Place, kernel};

/// Prints EAX on the serial port, lowest byte first, and restarts the machine, which ends it.
const PRINT: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xee, 0xc1, 0xe8, 0x08, 0xee, 0xc1, 0xe8, 0x08, // out dx, al; shr eax, 8; twice
    0xee, 0xc1, 0xe8, 0x08, 0xee, // and twice again
    0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd, // mov al, 0xfe; out 0x64, al; hlt; jmp .-1
];

/// What a guest prints that runs `code`, then PRINT, on processors with this configuration.
fn printed(code: &[u8], cpu_config: &Value) -> Vec<u8> {
    let place = Place::new();
    place.write("print", kernel(&[code, PRINT].concat()));
    place.config(&json!({
        "boot-source": { "kernel_image_path": "print" }, "cpu-config": cpu_config
    }));
    let output = place.program("--config-file machine.json").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn guest_sees_the_cpuid_leaf_as_it_was_changed() {
    // mov eax, 1; xor ecx, ecx; cpuid
    let cpuid = [0xb8, 1, 0, 0, 0, 0x31, 0xc9, 0x0f, 0xa2];
    let changed = json!({ "cpuid_modifiers": [{
        "leaf": "0x1", "subleaf": "0x0", "flags": 0,
        "modifiers": [
            { "register": "eax", "bitmap": "0b0000_0000_0000_0011_0000_0110_1111_0010" }
        ]
    }] });
    assert_eq!(printed(&cpuid, &changed), [0xf2, 0x06, 0x03, 0x00]);
    assert_ne!(printed(&cpuid, &json!({})), [0xf2, 0x06, 0x03, 0x00]);
}

#[test]
fn guest_reads_the_register_as_it_was_changed() {
    // mov ecx, 0x277 (page attribute table); rdmsr
    let rdmsr = [0xb9, 0x77, 0x02, 0, 0, 0x0f, 0x32];
    let changed = json!({ "msr_modifiers": [{ "addr": "0x277", "bitmap": "0b0000_0101" }] });
    assert_eq!(printed(&rdmsr, &json!({})), [0x06, 0x04, 0x07, 0x00]);
    assert_eq!(printed(&rdmsr, &changed), [0x05, 0x04, 0x07, 0x00]);
}

#[test]
fn leaf_that_the_host_has_not_is_named() {
    let place = Place::new();
    place.config(&json!({ "cpu-config": { "cpuid_modifiers": [
        { "leaf": "0x7fffffff", "subleaf": "0x0", "flags": 0, "modifiers": [] }
    ] } }));
    let said = place.refusal();
    assert!(said.contains("modifies CPUID leaf 0x7fffffff, subleaf 0x0"), "{said}");
}

#[test]
fn register_that_kvm_has_not_is_named() {
    let place = Place::new();
    place.config(&json!({ "cpu-config": { "msr_modifiers": [
        { "addr": "0x12345678", "bitmap": "0b1" }
    ] } }));
    let said = place.refusal();
    assert!(said.contains("KVM refuses model-specific register 0x12345678"), "{said}");
}

#[test]
fn capability_that_kvm_has_not_is_named_and_one_that_is_ignored_is_not_looked_for() {
    let monitor = Place::new().start();
    monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
    monitor.put("/cpu-config", &json!({ "kvm_capabilities": ["9999"] }));
    let start = json!({ "action_type": "InstanceStart" });
    let fault = monitor.fault("PUT", "/actions", &start.to_string());
    assert_eq!(fault, "Start microvm error: KVM on this host lacks capability 9999");
    // Ignored is what was demanded before it in the list, and what every machine needs.
    monitor.put("/cpu-config", &json!({ "kvm_capabilities": ["9999", "!9999", "!32"] }));
    monitor.put("/actions", &start);
    assert_eq!(monitor.state(), "Running");
}

#[test]
fn static_template_of_the_other_vendor_is_refused() {
    let fault = |template: &str| {
        let monitor = Place::new().start();
        monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
        let machine = json!({ "vcpu_count": 1, "mem_size_mib": 32, "cpu_template": template });
        monitor.put("/machine-config", &machine);
        let reply = monitor.send("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
        String::from_utf8(reply.body).unwrap()
    };
    // On no host both are right; one may be, or be for another model.
    let mismatched = |template: &str| fault(template).contains("CPU vendor mismatched");
    assert_ne!(mismatched("T2"), mismatched("T2A"));
}
