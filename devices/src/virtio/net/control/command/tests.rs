use std::sync::Arc;

use vm_memory::GuestAddress;

use super::*;
use crate::memory::GuestRam;

const ALL: u64 = u64::MAX;

fn take(bytes: &[u8], features: u64) -> Result<Command, Refused> {
    let ram = Arc::new(GuestRam::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap());
    let mut data = Buffers::new(ram);
    data.push(GuestAddress(0), bytes.len());
    data.copy_from(bytes).unwrap();
    Command::take(&mut data, features)
}

fn tables(unicast: u32, multicast: u32) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    for count in [unicast, multicast] {
        bytes.extend(count.to_le_bytes());
        bytes.extend(std::iter::repeat_n([2, 0, 0, 0, 0, 9], count as usize).flatten());
    }
    bytes
}

#[test]
fn receive_modes_are_understood() {
    let mode = |command| take(&[0, command, 1], ALL);
    assert_eq!(mode(0), Ok(Command::Filter(FilterChange::Promiscuous(true))));
    assert_eq!(mode(5), Ok(Command::Filter(FilterChange::NoBroadcast(true))));
    assert_eq!(mode(6), Err(Refused));
    assert_eq!(take(&[0, 1, 0], ALL), Ok(Command::Filter(FilterChange::AllMulticast(false))));
}

#[test]
fn command_that_was_not_negotiated_is_refused() {
    assert_eq!(take(&[0, 0, 1], 0), Err(Refused));
    assert_eq!(take(&[0, 2, 1], 1 << VIRTIO_NET_F_CTRL_RX), Err(Refused));
    assert_eq!(take(&[4, 0, 1, 0], ALL & !(1 << VIRTIO_NET_F_MQ)), Err(Refused));
}

#[test]
fn address_tables_are_taken() {
    let mac = [2, 0, 0, 0, 0, 9];
    let expected = FilterChange::Tables(Some(vec![mac]), Some(vec![mac, mac]));
    assert_eq!(take(&tables(1, 2), ALL), Ok(Command::Filter(expected)));
}

#[test]
fn table_that_is_too_long_lets_its_kind_pass() {
    let expected = FilterChange::Tables(None, Some(vec![[2, 0, 0, 0, 0, 9]]));
    assert_eq!(take(&tables(65, 1), ALL), Ok(Command::Filter(expected)));
}

#[test]
fn count_beyond_the_data_is_refused() {
    assert_eq!(take(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], ALL), Err(Refused));
    assert_eq!(take(&tables(1, 1)[..12], ALL), Err(Refused));
}

#[test]
fn cut_short_and_unknown_commands_are_refused() {
    for bytes in [&[][..], &[0], &[0, 0], &[1, 1, 2, 2], &[4, 0, 1], &[5, 0, 1, 2], &[9, 0, 1]] {
        assert_eq!(take(bytes, ALL), Err(Refused), "{bytes:?}");
    }
}

#[test]
fn numbers_are_little_endian() {
    assert_eq!(take(&[4, 0, 2, 1], ALL), Ok(Command::Pairs(0x102)));
    let offloads = take(&[5, 0, 1, 0, 0, 0, 0, 0, 0, 2], ALL);
    assert_eq!(offloads, Ok(Command::GuestOffloads(0x0200_0000_0000_0001)));
}
