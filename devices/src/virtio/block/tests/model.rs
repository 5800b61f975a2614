//! Whole sequences of requests against a reference disk, and chains that no driver would make.

use proptest::prelude::*;

use super::*;
use crate::virtio::block::EngineKind;
use crate::virtio::block::config::Cache;

const SECTORS: usize = 32;

#[derive(Debug, Clone)]
enum Op {
    Read { sector: u64, sectors: u32, cut: u32 },
    Write { sector: u64, sectors: u32, cut: u32, fill: u8 },
    WriteZeroes { sector: u64, sectors: u32, unmap: bool },
    Flush,
}

fn any_op() -> impl Strategy<Value = Op> {
    // Some of them end past the disk.
    let place = || (0..SECTORS as u64 + 2, 1..6u32, 0..512u32);
    prop_oneof![
        place().prop_map(|(sector, sectors, cut)| Op::Read { sector, sectors, cut }),
        (place(), any::<u8>()).prop_map(|((sector, sectors, cut), fill)| {
            Op::Write { sector, sectors, cut, fill }
        }),
        (place(), any::<bool>()).prop_map(|((sector, sectors, _), unmap)| {
            Op::WriteZeroes { sector, sectors, unmap }
        }),
        Just(Op::Flush),
    ]
}

/// A disk as it should be.
struct Model(Vec<u8>);

impl Model {
    fn range(&self, sector: u64, sectors: u32) -> Option<std::ops::Range<usize>> {
        let start = sector as usize * 512;
        let end = start + sectors as usize * 512;
        (end <= self.0.len()).then_some(start..end)
    }
}

/// Does `op` on both disks and compares what the driver sees.
fn step(rig: &mut Rig, model: &mut Model, op: &Op) {
    match *op {
        Op::Read { sector, sectors, cut } => {
            let len = sectors * 512;
            rig.driver.write(PAYLOAD, &vec![UNTOUCHED; len as usize]);
            let parts =
                [Part::Write(PAYLOAD, cut), Part::Write(PAYLOAD + u64::from(cut), len - cut)];
            let result = rig.request(VIRTIO_BLK_T_IN, sector, &parts);
            match model.range(sector, sectors) {
                Some(range) => {
                    assert_eq!(result, (OK, len + 1));
                    assert_eq!(rig.driver.read(PAYLOAD, len as usize), model.0[range]);
                }
                None => assert_eq!(result, (IOERR, 0)),
            }
        }
        Op::Write { sector, sectors, cut, fill } => {
            let len = sectors * 512;
            rig.driver.write(PAYLOAD, &vec![fill; len as usize]);
            let parts = [Part::Read(PAYLOAD, cut), Part::Read(PAYLOAD + u64::from(cut), len - cut)];
            let result = rig.request(VIRTIO_BLK_T_OUT, sector, &parts);
            expect_change(model, sector, sectors, result, fill);
        }
        Op::WriteZeroes { sector, sectors, unmap } => {
            let flags = u32::from(unmap) * VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
            let result = rig.zeroing(VIRTIO_BLK_T_WRITE_ZEROES, &[(sector, sectors, flags)]);
            expect_change(model, sector, sectors, result, 0);
        }
        Op::Flush => assert_eq!(rig.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (OK, 1)),
    }
}

fn expect_change(model: &mut Model, sector: u64, sectors: u32, result: (u8, u32), fill: u8) {
    match model.range(sector, sectors) {
        Some(range) => {
            assert_eq!(result, (OK, 1));
            model.0[range].fill(fill);
        }
        None => assert_eq!(result, (IOERR, 1)),
    }
}

fn compare(engine: EngineKind, ops: &[Op]) {
    let config = BlockConfig {
        engine,
        cache: Cache::Writeback,
        discard: true,
        queue_size: 16,
        ..BlockConfig::default()
    };
    let mut rig = Rig::new(&config, SECTORS);
    let mut model = Model(rig.disk_bytes());
    for op in ops {
        step(&mut rig, &mut model, op);
    }
    assert_eq!(rig.disk_bytes(), model.0);
}

/// Descriptors in and out of memory, of likely and unlikely lengths.
fn any_part() -> impl Strategy<Value = Part> {
    let addr = prop_oneof![
        4 => Just(HEADER),
        4 => PAYLOAD..PAYLOAD + 0x1000,
        1 => any::<u64>(),
    ];
    let len =
        prop_oneof![Just(0), Just(1), Just(16), Just(512), Just(1024), 0..4096u32, any::<u32>()];
    (addr, len, any::<bool>()).prop_map(|(addr, len, write)| {
        if write { Part::Write(addr, len) } else { Part::Read(addr, len) }
    })
}

fn any_header() -> impl Strategy<Value = [u8; 16]> {
    let kind = prop_oneof![4 => 0..17u32, 1 => any::<u32>()];
    let sector = prop_oneof![4 => 0..64u64, 1 => any::<u64>()];
    (kind, any::<u32>(), sector).prop_map(|(kind, reserved, sector)| {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[4..8].copy_from_slice(&reserved.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        header
    })
}

/// Every chain comes back exactly once, whatever it holds, and the disk keeps its size.
fn survive(engine: EngineKind, chains: &[([u8; 16], Vec<Part>)]) {
    let config = BlockConfig {
        engine,
        cache: Cache::Writeback,
        discard: true,
        queue_size: 64,
        ..BlockConfig::default()
    };
    let mut rig = Rig::new(&config, SECTORS);
    for (header, parts) in chains {
        rig.driver.write(HEADER, header);
        let head = rig.driver.add(parts);
        rig.kick();
        let used = rig.wait_for_used();
        assert_eq!(used.iter().map(|u| u.0).collect::<Vec<_>>(), [head]);
    }
    assert_eq!(rig.disk_bytes().len(), SECTORS * 512);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn synchronous_engine_agrees_with_the_model(ops in prop::collection::vec(any_op(), 1..24)) {
        compare(EngineKind::Sync, &ops);
    }

    #[test]
    fn io_uring_engine_agrees_with_the_model(ops in prop::collection::vec(any_op(), 1..24)) {
        compare(EngineKind::Async, &ops);
    }

    #[test]
    fn every_chain_is_answered_once_by_the_synchronous_engine(
        chains in prop::collection::vec(
            (any_header(), prop::collection::vec(any_part(), 1..6)), 1..32)
    ) {
        survive(EngineKind::Sync, &chains);
    }

    #[test]
    fn every_chain_is_answered_once_by_the_io_uring_engine(
        chains in prop::collection::vec(
            (any_header(), prop::collection::vec(any_part(), 1..6)), 1..32)
    ) {
        survive(EngineKind::Async, &chains);
    }
}
