//! What `bulkhead network create` asks the engine for.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Engine, text};
use serde_json::{Value, json};

fn engine() -> Engine {
    Engine::answering(|_| (201, r#"{"Id":"0"}"#.to_owned())).unwrap()
}

#[test]
fn a_gateway_without_a_subnet_does_not_reach_the_engine() {
    let engine = engine();
    for flags in [&["--gateway=10.0.0.1"][..], &["--ipv6", "--gateway=fd00::1"]] {
        let output = engine.bulkhead(&[&["network", "create"], flags, &["net"]].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let words = "every ip-range or gateway must have a corresponding subnet";
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    assert!(engine.asked().is_empty());
}

#[test]
fn every_flag_of_dockers_reaches_the_engine() {
    let engine = engine();
    let flags = [
        "--subnet=10.0.0.0/24",
        "--subnet=fd00::/64",
        "--gateway=fd00::1",
        "--aux-address=printer=10.0.0.9",
        "--ipam-driver=x",
        "--ipam-opt=a=b",
        "--ipv4=false",
        "--config-only",
        "--config-from=y",
        "--ingress",
        "--scope=swarm",
    ];
    let output = engine.bulkhead(&[&["network", "create"], &flags[..], &["net"]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let body: Value = serde_json::from_str(&engine.asked()[0].body).unwrap();
    let pools = json!([
        { "Subnet": "10.0.0.0/24", "AuxiliaryAddresses": { "printer": "10.0.0.9" } },
        { "Subnet": "fd00::/64", "Gateway": "fd00::1" },
    ]);
    assert_eq!(body["IPAM"], json!({ "Driver": "x", "Options": { "a": "b" }, "Config": pools }));
    assert_eq!((&body["EnableIPv4"], &body["ConfigOnly"]), (&json!(false), &json!(true)));
    assert_eq!((&body["ConfigFrom"]["Network"], &body["Ingress"]), (&json!("y"), &json!(true)));
    assert_eq!(body["Scope"], "swarm");
}
