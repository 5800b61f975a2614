//! Sockets between host and guest.

use std::thread;

use agent_protocol::client::{ConnectError, ExecSpec};
use tests::{Kernel, TestVm, pattern};

#[test]
fn streams_carry_all_bytes_both_ways_and_side_by_side() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.boot()?;
    let sent = pattern(8 << 20);
    let echo = vm.agent().run(&ExecSpec::new("cat"), &sent)?;
    assert!(echo.stdout == sent, "{} bytes came back of {}", echo.stdout.len(), sent.len());

    let sent = &sent[..256 << 10];
    thread::scope(|scope| {
        let run = || vm.agent().run(&ExecSpec::new("cat"), sent);
        let commands: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        for command in commands {
            let echo = command.join().expect("the thread does not panic")?;
            assert!(echo.stdout == sent, "{} bytes came back", echo.stdout.len());
        }
        anyhow::Ok(())
    })?;

    let refused = vm.vsock().connect(9);
    assert!(matches!(refused, Err(ConnectError::Refused { port: 9, .. })), "{refused:?}");
    Ok(())
}
