//! The programs do what the lists say. Whether the kernel agrees is seen in `tests/seccomp.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::ThreadKind;
use super::program::{OWN_PROCESS, compile};
use super::rule::{Demand, List};
use super::{lists, program, sock_filter};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const X86_64: u32 = 0xc000_003e;

/// Numbers of system calls, and more.
const NUMBERS: std::ops::Range<u32> = 0..1024;

/// A machine as that of the kernel (linux/filter.h), as far as the programs need it. The upper half
/// of each argument is `!0`, which no program may mind.
fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u32; 6]) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        at += 1;
        let mut jump_if = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => {
                loaded = match k {
                    0 => number,
                    4 => architecture,
                    16.. if k % 8 == 0 => arguments[(k as usize - 16) / 8],
                    _ => panic!("nothing is loaded from {k}"),
                }
            }
            0x54 => loaded &= k,
            0x05 => at += k as usize,
            0x15 => jump_if(loaded == k),
            0x35 => jump_if(loaded >= k),
            0x45 => jump_if(loaded & k != 0),
            0x06 => return k,
            _ => panic!("{code:#x} is no instruction of ours"),
        }
    }
}

fn answer(kind: ThreadKind, number: u32, arguments: [u32; 6]) -> u32 {
    run(program(kind), X86_64, number, arguments)
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap()
}

/// Values of an argument that meet a demand, and values that do not.
fn examples(demand: Demand) -> (Vec<u32>, Vec<u32>) {
    match demand {
        Demand::OneOf(values) => (values.to_vec(), vec![]),
        Demand::Without(bits) => (vec![0, !bits], vec![bits, !0]),
        Demand::With(bits) => (vec![bits, !0], vec![0, !bits, bits & (bits - 1)]),
        Demand::OwnProcess => (vec![OWN_PROCESS], vec![0, 1, OWN_PROCESS + 1]),
    }
}

/// The arguments of calls that some are judged by: call -> (index, allowed values, others).
type Judged = BTreeMap<u32, (u8, BTreeSet<u32>, BTreeSet<u32>)>;

fn judged(lists: &[&List]) -> Judged {
    let mut judged = Judged::new();
    let mut add = |number, argument, (good, bad): (Vec<u32>, Vec<u32>)| {
        let (_, all, none) = judged.entry(number).or_insert((argument, [].into(), [].into()));
        all.extend(good);
        none.extend(bad);
    };
    for (call, argument, demand) in lists.iter().flat_map(|l| l.checks) {
        add(number(*call), *argument, examples(*demand));
    }
    for (_, request) in lists.iter().flat_map(|l| l.ioctls).copied().flatten() {
        add(number(libc::SYS_ioctl), 1, (vec![*request], vec![]));
    }
    judged
}

#[test]
fn programs_are_those_of_the_lists() {
    for kind in ThreadKind::ALL {
        let compiled = compile(&lists::of(kind));
        let fields = |f: &sock_filter| (f.code, f.jt, f.jf, f.k);
        let built: Vec<_> = program(kind).iter().map(fields).collect();
        let now: Vec<_> = compiled.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect();
        assert_eq!(built, now, "{}", kind.name());
    }
}

#[test]
fn what_is_listed_is_allowed_and_nothing_else() {
    for kind in ThreadKind::ALL {
        let lists = lists::of(kind);
        let listed = |of: fn(&List) -> &'static [libc::c_long]| -> BTreeSet<u32> {
            lists.iter().flat_map(|list| of(list)).map(|call| number(*call)).collect()
        };
        let (calls, unknown) = (listed(|list| list.calls), listed(|list| list.unknown));
        let judged = judged(&lists);
        for number in NUMBERS.chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
            if judged.contains_key(&number) && !calls.contains(&number) {
                continue;
            }
            let expected = match (calls.contains(&number), unknown.contains(&number)) {
                (true, _) => ALLOW,
                (false, true) => NO_SUCH_CALL,
                (false, false) => TRAP,
            };
            for arguments in [[0; 6], [u32::MAX; 6]] {
                let answer = answer(kind, number, arguments);
                assert_eq!(answer, expected, "call {number} of a {} thread", kind.name());
            }
        }
    }
}

#[test]
fn arguments_decide_as_demanded() {
    for kind in ThreadKind::ALL {
        for (number, (argument, good, mut bad)) in judged(&lists::of(kind)) {
            // Their neighbours, too: that is where a search goes wrong.
            let near = good.iter().flat_map(|v| [v.wrapping_sub(1), v.wrapping_add(1)]);
            if bad.is_empty() {
                bad.extend(near.filter(|value| !good.contains(value)));
            }
            assert!(!good.is_empty() && !bad.is_empty());
            let with = |value: u32| {
                let mut arguments = [0; 6];
                arguments[usize::from(argument)] = value;
                answer(kind, number, arguments)
            };
            for value in good {
                assert_eq!(with(value), ALLOW, "call {number} with {value:#x}");
            }
            for value in bad {
                assert_eq!(with(value), TRAP, "call {number} with {value:#x}");
            }
        }
    }
}

#[test]
fn call_of_another_architecture_ends_the_process() {
    const I386: u32 = 0x4000_0003;
    for kind in ThreadKind::ALL {
        let answer = run(program(kind), I386, number(libc::SYS_read), [0; 6]);
        assert_eq!(answer, libc::SECCOMP_RET_KILL_PROCESS);
    }
}

#[test]
fn set_too_large_for_one_jump_is_searched_all_the_same() {
    const EVEN: [u32; 700] = {
        let mut values = [0; 700];
        let mut at = 0;
        while at < values.len() {
            values[at] = 2 * at as u32;
            at += 1;
        }
        values
    };
    let list = List {
        calls: &[],
        checks: &[(libc::SYS_fcntl, 1, Demand::OneOf(&EVEN))],
        ioctls: &[],
        unknown: &[],
    };
    let to_kernel =
        |i: &super::program::Instruction| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    let program: Vec<_> = compile(&[&list]).iter().map(to_kernel).collect();
    for value in 0..1500 {
        let answer = run(&program, X86_64, number(libc::SYS_fcntl), [0, value, 0, 0, 0, 0]);
        let even = value % 2 == 0 && value < 1400;
        assert_eq!(answer, if even { ALLOW } else { TRAP }, "{value}");
    }
}
