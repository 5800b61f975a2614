//! The entropy device.

use tests::{Kernel, TestVm};

#[test]
fn guest_draws_random_bytes_from_the_host() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.boot()?;
    assert_eq!(vm.exec("cat /sys/class/misc/hw_random/rng_current")?, "virtio_rng.0");
    let draw = "head -c 65536 /dev/hwrng >/tmp/drawn && wc -c </tmp/drawn && sha256sum </tmp/drawn";
    let (first, second) = (vm.exec(draw)?, vm.exec(draw)?);
    assert!(first.starts_with("65536\n"), "{first}");
    assert_ne!(first, second);
    // Random bytes do not shrink.
    let packed: u32 = vm.exec("gzip </tmp/drawn | wc -c")?.parse()?;
    assert!(packed > 65000, "65536 bytes went into {packed}");
    Ok(())
}
