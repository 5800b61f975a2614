//! Configuration files that make no sense, in both forms.

use serde_json::json;

use super::harness::Place;

/// What the program says of a configuration file with this text. It is never long.
fn refusal(text: &str) -> String {
    let place = Place::new();
    place.write("machine.json", text);
    short(place.refusal())
}

/// What the program says of a document with these processors, this memory and this rest.
fn spec_refusal(text: &str) -> String {
    let place = Place::new();
    place.write("spec.json", text);
    short(place.failure(place.program("--spec spec.json")))
}

fn short(said: String) -> String {
    assert!(said.len() < 4096, "{} bytes: {}", said.len(), &said[..4096]);
    said
}

/// A configuration file with this machine.
fn machine(machine: &str) -> String {
    let boot = r#""boot-source": { "kernel_image_path": "sleep" }, "drives": []"#;
    format!(r#"{{ {boot}, "machine-config": {machine} }}"#)
}

/// A document with this after its boot.
fn spec(more: &str) -> String {
    format!(r#"{{ "boot": {{ "kernel": "sleep" }}, {more} }}"#)
}

fn assert_names(said: &str, what: &str) {
    assert!(said.contains(what), "{what:?} is not in: {said}");
}

#[test]
fn unknown_field_is_named() {
    assert_names(&refusal(&machine(r#"{ "vcpu_count": 1, "cpus": 1 }"#)), "field `cpus`");
    assert_names(&spec_refusal(&spec(r#""cpus": 1"#)), "field `cpus`");
}

#[test]
fn missing_field_is_named() {
    assert_names(&refusal(&machine(r#"{ "mem_size_mib": 64 }"#)), "field `vcpu_count`");
    assert_names(&refusal("{}"), "field `drives`");
    assert_names(&spec_refusal(r#"{ "boot": {} }"#), "field `kernel`");
}

#[test]
fn duplicate_key_is_named() {
    let twice = r#"{ "vcpu_count": 1, "mem_size_mib": 64, "vcpu_count": 2 }"#;
    assert_names(&refusal(&machine(twice)), "duplicate field `vcpu_count`");
    let twice = r#""cpu": { "count": 1, "count": 2 }"#;
    assert_names(&spec_refusal(&spec(twice)), "duplicate field `count`");
    let twice = r#""components": { "a": { "type": "entropy" }, "a": { "type": "entropy" } }"#;
    assert_names(&spec_refusal(&spec(twice)), "a");
}

#[test]
fn minus_one_processor_is_named() {
    let said = refusal(&machine(r#"{ "vcpu_count": -1, "mem_size_mib": 64 }"#));
    assert_names(&said, "machine-config.vcpu_count");
    assert_names(&spec_refusal(&spec(r#""cpu": { "count": -1 }"#)), "cpu.count");
}

#[test]
fn memory_of_nothing_is_refused() {
    let said = refusal(&machine(r#"{ "vcpu_count": 1, "mem_size_mib": 0 }"#));
    assert_names(&said, "The memory size (MiB) is either 0");
    assert_names(&spec_refusal(&spec(r#""memory": { "size": 0 }"#)), "memory.size: 0");
}

#[test]
fn memory_of_two_to_the_63_mib_is_refused() {
    let said = refusal(&machine(r#"{ "vcpu_count": 1, "mem_size_mib": 9223372036854775808 }"#));
    assert_names(&said, "memory.size: 9223372036854775808");
    let size = r#""memory": { "size": 9223372036854775808 }"#;
    assert_names(&spec_refusal(&spec(size)), "memory.size: 9223372036854775808");
}

#[test]
fn depth_of_ten_thousand_is_refused() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    assert_names(&refusal(&machine(&deep)), "machine-config");
    assert_names(&refusal(&format!(r#"{{ "cpu-config": {deep} }}"#)), "recursion limit");
    assert_names(&spec_refusal(&spec(&format!(r#""cpu": {deep}"#))), "cpu");
}

#[test]
fn string_of_a_megabyte_is_refused_in_few_words() {
    let long = "x".repeat(1 << 20);
    let field = |name: &str, value: &serde_json::Value| {
        let place = Place::new();
        place.config(&json!({ name: value }));
        short(place.refusal())
    };
    let boot = json!({ "kernel_image_path": "sleep", "boot_args": long });
    assert_names(&field("boot-source", &boot), "command line too long");
    let boot = json!({ "kernel_image_path": long });
    assert_names(
        &field("boot-source", &boot),
        "The kernel file cannot be opened: File name too long",
    );
    let drive = json!({ "drive_id": "d", "path_on_host": long, "is_root_device": false });
    assert_names(&field("drives", &json!([drive])), "Error manipulating the backing file");
    let drive = json!({ "drive_id": long, "path_on_host": "disk", "is_root_device": false });
    assert_names(&field("drives", &json!([drive])), "id");
    let machine = json!({ "vcpu_count": long, "mem_size_mib": 64 });
    assert_names(&field("machine-config", &machine), "machine-config.vcpu_count");
    let unknown = json!({ "vcpu_count": 1, "mem_size_mib": 64, long.as_str(): 1 });
    assert_names(&field("machine-config", &unknown), "unknown field");
}

#[test]
fn file_that_is_no_json_or_not_there_is_named() {
    assert_names(&refusal("machine: yes"), "in machine.json");
    let place = Place::new();
    assert_names(&place.refusal(), "failed to read machine.json: No such file");
}

#[test]
fn document_for_the_other_flag_is_refused() {
    let said = refusal(&spec(r#""cpu": { "count": 1 }"#));
    assert_names(&said, "--spec and --config-file differ");
}
