//! Kernel command lines that no kernel gets.

use serde_json::{Value, json};

use super::harness::Place;

fn boot_source(arguments: &str) -> Value {
    json!({ "kernel_image_path": "sleep", "boot_args": arguments })
}

#[test]
fn command_line_with_nul_or_newline_or_too_long_is_refused() {
    let monitor = Place::new().start();
    let fault =
        |arguments: &str| monitor.fault("PUT", "/boot-source", &boot_source(arguments).to_string());
    let invalid = "Boot source error: The kernel command line is invalid: ";
    let character = format!("{invalid}String contains a non-printable ASCII character.");
    let length = format!("{invalid}Inserting string would make command line too long.");
    assert_eq!(fault("quiet\0"), character);
    assert_eq!(fault("quiet\nroot=/dev/vda"), character);
    assert_eq!(fault("quiet \u{e9}"), character);
    assert_eq!(fault(&"x".repeat(2048)), length);
    monitor.put("/boot-source", &boot_source(&"x".repeat(2047)));
}

#[test]
fn command_line_of_a_document_is_refused_by_its_field() {
    let place = Place::new();
    let refusal = |cmdline: &str| {
        let document = json!({ "boot": { "kernel": "sleep", "cmdline": cmdline } });
        place.write("spec.json", document.to_string());
        place.failure(place.program("--spec spec.json"))
    };
    let said = refusal("quiet\0");
    assert!(said.contains("boot.cmdline: character '\\0' is not allowed"), "{said}");
    let said = refusal("quiet\n");
    assert!(said.contains("boot.cmdline: character '\\n' is not allowed"), "{said}");
    let said = refusal(&"x".repeat(2048));
    assert!(said.contains("boot.cmdline: 2048 bytes"), "{said}");
}

#[test]
fn room_for_the_root_disk_is_kept() {
    let monitor = Place::new().start();
    monitor.put("/boot-source", &boot_source(&"x".repeat(2047)));
    let drive = json!({ "drive_id": "d", "path_on_host": "disk", "is_root_device": true });
    monitor.put("/drives/d", &drive);
    let fault = monitor.fault("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert!(fault.contains("bytes with what the monitor adds, at most 2047 fit"), "{fault}");
}
