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

    thread::scope(|scope| {
        // Each stream has content of its own: none may have another's.
        let contents = sent.windows(128 << 10).step_by(4096).take(64);
        let run = |content| (content, vm.agent().run(&ExecSpec::new("cat"), content));
        let streams: Vec<_> = contents.map(|c| scope.spawn(move || run(c))).collect();
        assert_eq!(streams.len(), 64);
        for stream in streams {
            let (content, echo) = stream.join().expect("the thread does not panic");
            let echo = echo?.stdout;
            assert!(echo == content, "{} bytes came back", echo.len());
        }
        anyhow::Ok(())
    })?;

    let refused = vm.vsock().connect(9);
    assert!(matches!(refused, Err(ConnectError::Refused { port: 9, .. })), "{refused:?}");
    Ok(())
}
