//! How a machine ends, and the exit status by which its monitor says so.

use std::time::Duration;

use agent_protocol::message::PowerMode;
use anyhow::Context;
use rustix::process::Signal;
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::MachineEnd;

/// How long the way from the cause to the monitor's end may take.
const LIMIT: Duration = Duration::from_secs(60);

fn boot() -> anyhow::Result<RunningVm> {
    TestVm::new(Kernel::Bulkhead612)?.boot()
}

#[test]
fn guest_that_powers_off_ends_with_status_0() -> anyhow::Result<()> {
    let mut vm = boot()?;
    vm.agent().power_off(PowerMode::PowerOff)?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::PowerOff);
    Ok(())
}

#[test]
fn guest_that_restarts_ends_with_status_100() -> anyhow::Result<()> {
    let mut vm = boot()?;
    vm.agent().power_off(PowerMode::Reboot)?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::Reboot);
    Ok(())
}

#[test]
fn power_button_has_the_agent_power_off() -> anyhow::Result<()> {
    let mut vm = boot()?;
    vm.api().power_button()?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::PowerButton);
    Ok(())
}

#[test]
fn kernel_panic_ends_with_status_102_and_its_message_on_the_console() -> anyhow::Result<()> {
    let mut vm = boot()?;
    let events = vm.api().events(None)?;
    let _crash = vm.start("echo c > /proc/sysrq-trigger")?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::Panic);
    let last = events.map_while(Result::ok).last().context("there was no event")?;
    assert_eq!((last.event.as_str(), last.data["status"].as_u64()), ("exited", Some(102)));
    vm.console().wait_for("Kernel panic - not syncing: sysrq triggered crash", LIMIT)
}

#[test]
fn stop_through_the_api_ends_with_status_106() -> anyhow::Result<()> {
    let mut vm = boot()?;
    vm.api().stop()?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::Stopped);
    assert!(!vm.folder().join("api.sock").exists(), "the API's socket goes with the monitor");
    Ok(())
}

#[test]
fn sigterm_ends_a_paused_machine_too() -> anyhow::Result<()> {
    let mut vm = boot()?;
    vm.api().pause()?;
    vm.signal(Signal::TERM)?;
    assert_eq!(vm.wait_end(LIMIT)?, MachineEnd::Stopped);
    Ok(())
}
