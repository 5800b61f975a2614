//! Kernel files that are none, or that lie.

use serde_json::json;

use super::harness::{Place, kernel, put};

/// What the program says of a machine with this kernel.
fn refusal(content: &[u8]) -> String {
    let place = Place::new();
    place.write("bad", content);
    place.config(&json!({ "boot-source": { "kernel_image_path": "bad" } }));
    place.refusal()
}

/// A kernel with another value in a field of its headers.
fn with(at: usize, value: u64) -> Vec<u8> {
    let mut elf = kernel(&[0xf4]);
    put(&mut elf, at, value);
    elf
}

#[test]
fn text_as_a_kernel_is_refused() {
    let said = refusal(&b"no kernel, but long enough to be one. ".repeat(64));
    assert!(
        said.contains("Kernel bad cannot be booted: it is neither an ELF file nor a bzImage"),
        "{said}"
    );
}

#[test]
fn empty_file_as_a_kernel_is_refused() {
    let said = refusal(b"");
    assert!(
        said.contains("Kernel bad cannot be booted: it is neither an ELF file nor a bzImage"),
        "{said}"
    );
}

#[test]
fn kernel_cut_in_its_headers_is_refused() {
    let said = refusal(&kernel(&[0xf4])[..100]);
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn kernel_cut_in_its_code_is_refused() {
    let said = refusal(&kernel(&[0xf4; 64])[..0x1010]);
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn kernel_with_an_offset_that_wraps_is_refused() {
    let said = refusal(&with(72, u64::MAX));
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn kernel_with_an_address_that_wraps_is_refused() {
    let said = refusal(&with(88, u64::MAX));
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn kernel_with_its_entry_outside_of_memory_is_refused() {
    let said = refusal(&with(24, 1 << 40));
    assert!(said.contains("bad"), "{said}");
}

#[test]
fn missing_kernel_is_refused() {
    let place = Place::new();
    place.config(&json!({ "boot-source": { "kernel_image_path": "nowhere" } }));
    let said = place.refusal();
    assert!(said.contains("The kernel file cannot be opened: No such file"), "{said}");
}

/// A kernel needs no PVH note: without one it is entered in 64-bit mode.
#[test]
fn kernel_without_a_note_runs() {
    let place = Place::new();
    place.config(&json!({ "boot-source": { "kernel_image_path": "reset" } }));
    let output = place.program("--config-file machine.json").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn start_that_failed_for_its_kernel_succeeds_with_another() {
    let place = Place::new();
    place.write("bad", &kernel(&[0xf4; 64])[..0x1010]);
    let mut monitor = place.start();
    monitor.put("/boot-source", &json!({ "kernel_image_path": "bad" }));
    let drive = json!({ "drive_id": "d", "path_on_host": "disk", "is_root_device": false });
    monitor.put("/drives/d", &drive);
    let fault = monitor.fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert!(fault.starts_with("Start microvm error: ") && fault.contains("bad"), "{fault}");

    monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
    monitor.put("/actions", &json!({ "action_type": "InstanceStart" }));
    assert_eq!(monitor.state(), "Running");
    assert!(monitor.end().success());
}
