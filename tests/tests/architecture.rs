//! Who may depend on whom. Needs no VM: it reads the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Each of our packages and what of ours it may use, apart from its own tests.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("agent-protocol", &[]),
    ("api", &["vm-spec"]),
    ("bulkhead", &["agent-protocol", "api", "launch", "vm-spec"]),
    ("bulkhead-agent", &["agent-protocol"]),
    ("bulkhead-vmm", &["api", "devices", "jail", "vm-spec", "vmm"]),
    ("devices", &[]),
    ("engine", &["agent-protocol", "api", "image", "launch", "switch", "vm-spec"]),
    ("image", &[]),
    ("jail", &[]),
    ("lab-machine", &[]),
    ("launch", &["api", "vm-spec"]),
    ("switch", &[]),
    ("tests", &["agent-protocol", "api", "vm-spec"]),
    ("vm-spec", &[]),
    ("vmm", &["devices", "vm-spec"]),
];

/// The direct dependencies of each package of the workspace, without those of its tests.
type Dependencies = BTreeMap<String, BTreeSet<String>>;

fn dependencies() -> anyhow::Result<Dependencies> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("there are no packages")?;
    Ok(packages.iter().map(|package| (name(package), used_by(package))).collect())
}

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap_or_default().to_owned()
}

fn used_by(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies.filter(|dependency| dependency["kind"] != "dev").map(name).collect()
}

/// Who uses `library` directly.
fn users<'a>(dependencies: &'a Dependencies, library: &str) -> Vec<&'a str> {
    let uses = dependencies.iter().filter(|(_, used)| used.contains(library));
    uses.map(|(package, _)| package.as_str()).collect()
}

#[test]
fn our_packages_use_each_other_only_as_drawn() -> anyhow::Result<()> {
    let dependencies = dependencies()?;
    let ours: BTreeSet<_> = dependencies.keys().cloned().collect();
    let drawn: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    for (package, used) in &dependencies {
        let allowed = drawn.get(package.as_str());
        let allowed = allowed.with_context(|| format!("{package} is in no drawing"))?;
        for other in used.intersection(&ours) {
            assert!(allowed.contains(&other.as_str()), "{package} must not use {other}");
        }
    }
    Ok(())
}

#[test]
fn kvm_is_used_by_vmm_only() -> anyhow::Result<()> {
    let dependencies = dependencies()?;
    assert_eq!(users(&dependencies, "kvm-ioctls"), ["vmm"]);
    assert_eq!(users(&dependencies, "kvm-bindings"), ["vmm"]);
    Ok(())
}

#[test]
fn tokio_stays_out_of_the_monitor_and_the_guest() -> anyhow::Result<()> {
    // The monitor's server is the one exception, on a thread of its own.
    assert_eq!(users(&dependencies()?, "tokio"), ["api", "bulkhead", "engine", "image"]);
    Ok(())
}

#[test]
fn libraries_do_without_anyhow() -> anyhow::Result<()> {
    let dependencies = dependencies()?;
    // `engine` and `switch` are libraries too: only their `main.rs` uses it.
    let programs =
        ["bulkhead", "bulkhead-agent", "bulkhead-vmm", "engine", "lab-machine", "switch", "tests"];
    let mut others = users(&dependencies, "anyhow");
    others.retain(|user| !programs.contains(user));
    assert_eq!(others, [""; 0]);
    Ok(())
}
