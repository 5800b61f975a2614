//! The metadata service, asked by a guest over its card. Needs root, for a tap.

use std::net::Ipv4Addr;

use serde_json::json;
use tests::{Kernel, RunningVm, Tap, TestVm};
use vm_spec::{Component, MmdsSpec, MmdsVersion, Transport};

fn boot(version: MmdsVersion, transport: Transport, tap: &Tap) -> anyhow::Result<RunningVm> {
    let service = MmdsSpec {
        version,
        address: Ipv4Addr::new(169, 254, 169, 254),
        devices: vec!["eth0".parse()?],
        imds_compat: false,
    };
    let vm = TestVm::new(Kernel::Bulkhead612)?
        .transport(transport)
        .with_card(tap, |_| ())?
        .with("metadata", Component::Mmds(service))?
        .boot()?;
    vm.api().put_mmds(&json!({ "latest": { "name": "vm-7", "tags": { "a": "1", "b": "2" } } }))?;
    tap.set_up(&vm)?;
    vm.exec("ip route add 169.254.169.254 dev eth0")?;
    Ok(vm)
}

/// Asks with the guest's HTTP client.
fn get(vm: &RunningVm, path: &str, headers: &str) -> anyhow::Result<String> {
    vm.exec(&format!("wget -q -O - {headers} http://169.254.169.254{path}"))
}

/// Asks with the guest's HTTP client for what is refused; gives the first line of the answer.
fn refused(vm: &RunningVm, path: &str, headers: &str) -> anyhow::Result<String> {
    let line = format!("! wget -S -q -O - {headers} http://169.254.169.254{path} 2>&1");
    let said = vm.exec(&line)?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

#[test]
fn guest_reads_metadata_of_the_first_version_and_sees_changes() -> anyhow::Result<()> {
    let tap = Tap::make(6)?;
    let vm = boot(MmdsVersion::V1, Transport::Pci, &tap)?;
    assert_eq!(get(&vm, "/latest/name", "")?, "vm-7");
    assert_eq!(get(&vm, "/latest/tags", "")?, "a\nb");
    let json = get(&vm, "/latest/tags", "--header 'Accept: application/json'")?;
    assert_eq!(json, r#"{"a":"1","b":"2"}"#);
    vm.api().patch_mmds(&json!({ "latest": { "name": "vm-8" } }))?;
    assert_eq!(get(&vm, "/latest/name", "")?, "vm-8");
    let missing = refused(&vm, "/latest/nothing", "")?;
    assert!(missing.contains("404 Not Found"), "{missing}");
    // The card is one all the same.
    vm.exec(&format!("ping -c 1 -W 5 {}", tap.host()))?;
    Ok(())
}

#[test]
fn guest_needs_a_token_for_metadata_of_the_second_version() -> anyhow::Result<()> {
    let tap = Tap::make(7)?;
    let vm = boot(MmdsVersion::V2, Transport::Mmio, &tap)?;
    // No client in the guest sends PUT.
    let answer = vm.exec(
        "printf 'PUT /latest/api/token HTTP/1.1\\r\\nHost: metadata\\r\\nConnection: close\\r\\n\
         X-metadata-token-ttl-seconds: 60\\r\\n\\r\\n' | nc 169.254.169.254 80",
    )?;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let token = answer.lines().last().unwrap_or_default();
    let with = |token: &str| format!("--header 'X-metadata-token: {token}'");
    assert_eq!(get(&vm, "/latest/name", &with(token))?, "vm-7");
    for headers in ["", &with("forged")] {
        let answer = refused(&vm, "/latest/name", headers)?;
        assert!(answer.contains("401 Unauthorized"), "{headers:?}: {answer}");
    }
    Ok(())
}
