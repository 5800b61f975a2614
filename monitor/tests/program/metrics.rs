//! What the program writes to its metrics file.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Place;

#[test]
fn metrics_tell_how_long_the_start_up_took() {
    let monitor = Place::new().start();
    monitor.put("/metrics", &json!({ "metrics_path": "metrics" }));
    monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
    monitor.put("/actions", &json!({ "action_type": "InstanceStart" }));
    monitor.put("/actions", &json!({ "action_type": "FlushMetrics" }));
    let text = fs::read_to_string(monitor.place.path("metrics")).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let time = |name: &str| line["api_server"][name].as_u64().unwrap();
    assert!((1..60_000_000).contains(&time("process_startup_time_us")), "{text}");
    assert!((1..60_000_000).contains(&time("process_startup_time_cpu_us")), "{text}");
}
