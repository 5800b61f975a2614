//! Configuration files: what is accepted says the same when it is written and read again.
#![no_main]

use api::vm::config_state::{ConfigFile, ConfigState, Identity, NoHost};
use libfuzzer_sys::fuzz_target;
use vm_spec::{Machine, VmSpec};

fn state() -> ConfigState {
    ConfigState::new(Identity {
        id: "fuzz".into(),
        app_name: "fuzz".into(),
        version: "0".into(),
        board: vm_spec::BoardSpec::default(),
    })
}

/// A document survives being written, and a machine is described by its document.
fn check_spec(spec: VmSpec) {
    let text = serde_json::to_string(&spec).expect("a document can be written");
    let again: VmSpec = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(again, spec);
    if let Ok(machine) = Machine::try_from(spec) {
        assert!(machine.cmdline().len() <= vm_spec::MAX_CMDLINE);
        let same = Machine::try_from(machine.spec().clone()).expect("it was valid");
        assert_eq!(same, machine);
    }
}

fuzz_target!(|text: &str| {
    let Ok(file) = ConfigFile::parse(text) else { return };
    if let ConfigFile::Spec(spec) = &file {
        check_spec((**spec).clone());
    }
    let mut state = state();
    if state.load(file, &mut NoHost).is_ok()
        && let Ok(spec) = state.spec()
    {
        check_spec(spec);
    }
});
