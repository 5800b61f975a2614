//! Without a tun device only what is refused before; the rest needs `/dev/net/tun` and
//! CAP_NET_ADMIN, and fails without: these are host tests (`host_` in their names).

use std::io::Write;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

fn name(test: &str) -> String {
    format!("bh{test}{}", std::process::id() % 100_000)
}

#[test]
fn name_that_no_interface_may_have_is_refused() {
    for name in ["", "a/b", "a b", "a:1", "sixteen-bytes-xx", "tap%d", ".."] {
        let error = Tap::open(name, 1).unwrap_err();
        assert!(matches!(error, OpenTapError::InvalidName { .. }), "{name:?}: {error}");
    }
}

#[test]
fn descriptor_of_a_file_is_not_a_tap() {
    let file = tempfile::tempfile().unwrap();
    let error = Tap::from_fd(file.into()).unwrap_err();
    assert!(matches!(error, OpenTapError::NotATap { .. }), "{error}");
}

#[test]
fn host_tap_offers_checksum_and_segmentation_offloads() {
    let tap = Tap::open(&name("off"), 1).unwrap().remove(0);
    assert!(tap.supported.contains(Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6));
    tap.set_offloads(Offloads::all()).unwrap();
    tap.set_offloads(Offloads::empty()).unwrap();
}

#[test]
fn host_tap_in_use_is_refused_by_name() {
    let name = name("use");
    let _holder = Tap::open(&name, 1).unwrap();
    let error = Tap::open(&name, 1).unwrap_err();
    assert_eq!(error.to_string(), format!("failed to attach to tap {name}"));
}

#[test]
fn host_tap_queue_goes_out_and_comes_back() {
    let taps = Tap::open(&name("mq"), 2).unwrap();
    taps[1].set_enabled(false).unwrap();
    assert!(taps[1].set_enabled(false).is_err());
    taps[1].set_enabled(true).unwrap();
}

#[test]
fn host_tap_of_several_queues_serves_a_single_one() {
    let name = name("one");
    let _first = Tap::open(&name, 2).unwrap();
    assert_eq!(Tap::open(&name, 1).unwrap().len(), 1);
}

#[test]
fn host_tap_by_descriptor_keeps_its_name() {
    let name = name("fd");
    let tap = Tap::open(&name, 1).unwrap().remove(0);
    let again = Tap::from_fd(tap.fd.try_clone().unwrap()).unwrap();
    assert_eq!(again.name(), name);
}

#[test]
fn host_tap_that_is_down_refuses_frames_without_blocking() {
    let tap = Tap::open(&name("dn"), 1).unwrap().remove(0);
    let mut file = std::fs::File::from(tap.fd.try_clone().unwrap());
    assert_eq!(file.write(&[0; 64]).unwrap_err().raw_os_error(), Some(libc::EIO));
    let mut fds = [PollFd::from_borrowed_fd(tap.as_fd(), PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&rustix::time::Timespec::default())).unwrap(), 0);
}
