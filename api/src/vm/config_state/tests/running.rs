//! Changes to a machine that runs.

use vm_spec::{Mib, TokenBucket};

use super::*;

fn with_devices() -> Vm {
    let mut vm = Vm::with_kernel();
    vm.put("/drives/d", r#"{"drive_id":"d","is_root_device":true,"path_on_host":"/d"}"#);
    vm.put("/network-interfaces/d", r#"{"iface_id":"d","host_dev_name":"tap0"}"#);
    vm.put(
        "/balloon",
        r#"{"amount_mib":8,"deflate_on_oom":true,"stats_polling_interval_s":2,
            "free_page_hinting":true}"#,
    );
    vm.start();
    vm
}

#[test]
fn drive_gets_another_file_and_the_configuration_shows_it() {
    let mut vm = with_devices();
    let operation =
        vm.done("PATCH", "/drives/d", r#"{"drive_id":"d","path_on_host":"/other"}"#).unwrap();
    let Operation::UpdateDisk { device, path, rate_limiter } = operation else { panic!() };
    assert_eq!(device.as_str(), "d");
    assert_eq!(path.unwrap().to_str(), Some("/other"));
    assert_eq!(rate_limiter, None);
    assert_eq!(vm.config().drives[0].path_on_host.as_deref(), Some("/other"));
}

#[test]
fn limits_change_bucket_by_bucket() {
    let mut vm = with_devices();
    let patch = |vm: &mut Vm, limiter: &str| {
        let body = format!(r#"{{"drive_id":"d","rate_limiter":{limiter}}}"#);
        vm.done("PATCH", "/drives/d", &body);
        vm.config().drives[0].rate_limiter
    };
    patch(&mut vm, r#"{"ops":{"size":5,"refill_time":100}}"#);
    let both = patch(&mut vm, r#"{"bandwidth":{"size":6,"refill_time":100}}"#).unwrap();
    assert_eq!((both.ops.unwrap().size, both.bandwidth.unwrap().size), (5, 6));
    let one = patch(&mut vm, r#"{"ops":{"size":0,"refill_time":0}}"#).unwrap();
    assert_eq!((one.ops, one.bandwidth.unwrap().size), (None, 6));
}

#[test]
fn interface_with_the_id_of_a_drive_has_a_component_of_its_own() {
    let mut vm = with_devices();
    let body = r#"{"iface_id":"d","tx_rate_limiter":{"ops":{"size":7,"refill_time":9}}}"#;
    let operation = vm.done("PATCH", "/network-interfaces/d", body).unwrap();
    let Operation::UpdateNet { device, rx_rate_limiter, tx_rate_limiter } = operation else {
        panic!()
    };
    assert_eq!(device.as_str(), "d-net");
    assert_eq!(rx_rate_limiter, None);
    let bucket = TokenBucket { size: 7, refill_time_ms: 9, one_time_burst: None };
    assert_eq!(tx_rate_limiter.unwrap().ops, Some(bucket));
}

#[test]
fn drive_that_is_not_there_cannot_change() {
    assert_eq!(
        with_devices().fault("PATCH", "/drives/x", r#"{"drive_id":"x","path_on_host":"/y"}"#),
        "Drive config error: Unable to patch the block device: Failed perform action on device: \
         Device not found Please verify the request arguments."
    );
}

#[test]
fn change_of_a_drive_that_changes_nothing_is_refused() {
    let fault = with_devices().fault("PATCH", "/drives/d", r#"{"drive_id":"d"}"#);
    assert!(fault.contains("Running method expected different backend."), "{fault}");
}

#[test]
fn interface_that_is_not_there_cannot_change() {
    assert_eq!(
        with_devices().fault("PATCH", "/network-interfaces/x", r#"{"iface_id":"x"}"#),
        "Network config error: Unable to update the net device: Failed perform action on device: \
         Device not found"
    );
}

#[test]
fn balloon_gets_another_target() {
    let mut vm = with_devices();
    let operation = vm.done("PATCH", "/balloon", r#"{"amount_mib":16}"#);
    assert_eq!(operation, Some(Operation::SetBalloonTarget(Mib(16))));
    assert_eq!(vm.config().balloon.unwrap().amount_mib, 16);
    assert_eq!(
        vm.fault("PATCH", "/balloon", r#"{"amount_mib":129}"#),
        "Balloon update error: Balloon: Requested memory should be less than 128MiB"
    );
}

#[test]
fn statistics_cannot_be_turned_off() {
    let mut vm = with_devices();
    let interval = |seconds| format!(r#"{{"stats_polling_interval_s":{seconds}}}"#);
    assert_eq!(
        vm.fault("PATCH", "/balloon/statistics", &interval(0)),
        "Balloon update error: Balloon: Statistics cannot be enabled/disabled after activation."
    );
    let operation = vm.done("PATCH", "/balloon/statistics", &interval(5));
    assert_eq!(operation, Some(Operation::SetBalloonStatsInterval(5)));
    assert_eq!(vm.done("GET", "/balloon/statistics", ""), Some(Operation::BalloonStats));
}

#[test]
fn hinting_reaches_the_balloon() {
    let mut vm = with_devices();
    assert_eq!(
        vm.done("PATCH", "/balloon/hinting/start", ""),
        Some(Operation::StartBalloonHinting { acknowledge_on_stop: true })
    );
    let stop = vm.done("PATCH", "/balloon/hinting/stop", "");
    assert_eq!(stop, Some(Operation::StopBalloonHinting));
}

#[test]
fn balloon_without_statistics_or_hinting_says_so() {
    let mut vm = Vm::with_kernel();
    vm.put("/balloon", r#"{"amount_mib":8,"deflate_on_oom":true}"#);
    vm.start();
    assert_eq!(
        vm.fault("GET", "/balloon/statistics", ""),
        "Internal VMM error: Balloon: Received stats query when stats are disabled."
    );
    assert_eq!(
        vm.fault("PATCH", "/balloon/hinting/start", ""),
        "Balloon update error: Balloon: Attempting to use hinting when not enabled"
    );
}

#[test]
fn machine_without_a_balloon_says_so() {
    let mut vm = Vm::started();
    let missing = "Failed perform action on device: Device not found";
    assert_eq!(vm.fault("GET", "/balloon", ""), format!("Internal VMM error: {missing}"));
    assert_eq!(
        vm.fault("PATCH", "/balloon", r#"{"amount_mib":1}"#),
        format!("Balloon update error: {missing}")
    );
}

#[test]
fn keys_buttons_metrics_and_the_end_reach_the_monitor() {
    let mut vm = Vm::started();
    let action = |name| format!(r#"{{"action_type":"{name}"}}"#);
    let mut done = |path, name| vm.done("PUT", path, &action(name)).unwrap();
    assert_eq!(done("/actions", "SendCtrlAltDel"), Operation::CtrlAltDel);
    assert_eq!(done("/actions", "FlushMetrics"), Operation::FlushMetrics);
    assert_eq!(done("/bulkhead/actions", "PowerButton"), Operation::PowerButton);
    assert_eq!(done("/bulkhead/actions", "Stop"), Operation::Stop);
}

#[test]
fn cable_of_a_card_reaches_the_monitor_and_one_of_no_card_does_not() {
    let mut vm = Vm::with_kernel();
    let link = |card: &str| format!("/bulkhead/link/{card}");
    let down = r#"{"up":false}"#;
    assert_eq!(vm.fault("PATCH", &link("eth0"), down), VmFault::BeforeStart.to_string());
    vm.put("/network-interfaces/eth0", r#"{"iface_id":"eth0","host_dev_name":"tap0"}"#);
    vm.start();
    let device = "eth0".parse().unwrap();
    assert_eq!(
        vm.done("PATCH", &link("eth0"), down),
        Some(Operation::SetLink { device, up: false })
    );
    assert!(vm.fault("PATCH", &link("eth1"), down).contains("Device not found"));
}

#[test]
fn metadata_reaches_the_monitor_before_and_after_the_start() {
    let document = serde_json::json!({"a": 1});
    let put = Some(Operation::PutMmds(document.clone()));
    assert_eq!(Vm::new().done("PUT", "/mmds", r#"{"a":1}"#), put);
    let patch = Some(Operation::PatchMmds(document));
    assert_eq!(Vm::started().done("PATCH", "/mmds", r#"{"a":1}"#), patch);
}
