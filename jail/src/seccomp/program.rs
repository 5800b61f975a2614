//! From lists to programs for the kernel's classic BPF machine (linux/filter.h, seccomp(2)).
//!
//! Both system calls and arguments are searched for by halving. The kernel runs a new filter once
//! for each system call that there is, to know which ones it need not ask about: one comparison
//! after the other would take it a hundred comparisons each time, and longer than all else of a
//! small machine's start.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::{Demand, List};

/// One instruction: its code, where to go on if a comparison holds and if not, and an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

type Code = Vec<Instruction>;

/// Stands for the id of the process, which is known only when a program is installed.
pub(super) const OWN_PROCESS: u32 = 0x6f77_6e21;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in what the kernel gives a filter (struct seccomp_data, linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// linux/audit.h
const X86_64: u32 = 0xc000_003e;

/// A set of this many values is compared with one by one.
const FEW: usize = 6;

/// What may be done about a system call that is listed.
enum Rule {
    Always,
    If(u8, Test),
    Unknown,
}

enum Test {
    OneOf(BTreeSet<u32>),
    Without(u32),
    With(u32),
    OwnProcess,
}

/// The program that allows what is listed and traps everything else.
///
/// # Panics
/// When the lists contradict each other.
pub(super) fn compile(lists: &[&List]) -> Vec<Instruction> {
    let mut intervals = vec![(0, answer(libc::SECCOMP_RET_TRAP))];
    for (number, rule) in &rules(lists) {
        let next = (number + 1, answer(libc::SECCOMP_RET_TRAP));
        if intervals.last().is_some_and(|(start, _)| start == number) {
            intervals.pop();
        }
        let code = rule.code();
        if intervals.last().is_none_or(|(_, before)| *before != code) {
            intervals.push((*number, code));
        }
        intervals.push(next);
    }
    let mut program = vec![
        statement(LOAD, ARCHITECTURE),
        comparison(IF_EQUAL, X86_64, 1, 0),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, NUMBER),
    ];
    program.extend(search(&intervals));
    program
}

/// Puts lists together. A call that one of them allows unconditionally is.
fn rules(lists: &[&List]) -> BTreeMap<u32, Rule> {
    let mut rules = BTreeMap::new();
    let number = |call: libc::c_long| u32::try_from(call).expect("numbers of calls are small");
    for (call, argument, demand) in lists.iter().flat_map(|l| l.checks) {
        allow_if(&mut rules, number(*call), *argument, *demand);
    }
    for (_, request) in lists.iter().flat_map(|l| l.ioctls).copied().flatten() {
        let demand = Demand::OneOf(std::slice::from_ref(request));
        allow_if(&mut rules, number(libc::SYS_ioctl), 1, demand);
    }
    for call in lists.iter().flat_map(|l| l.unknown) {
        assert!(rules.insert(number(*call), Rule::Unknown).is_none(), "{call} is listed twice");
    }
    for call in lists.iter().flat_map(|l| l.calls) {
        rules.insert(number(*call), Rule::Always);
    }
    rules
}

fn allow_if(rules: &mut BTreeMap<u32, Rule>, number: u32, argument: u8, demand: Demand) {
    let test = match demand {
        Demand::OneOf(values) => Test::OneOf(values.iter().copied().collect()),
        Demand::Without(bits) => Test::Without(bits),
        Demand::With(bits) => Test::With(bits),
        Demand::OwnProcess => Test::OwnProcess,
    };
    match (rules.get_mut(&number), test) {
        (None, test) => drop(rules.insert(number, Rule::If(argument, test))),
        (Some(Rule::If(at, Test::OneOf(all))), Test::OneOf(more)) if *at == argument => {
            all.extend(more);
        }
        _ => panic!("there are demands of two kinds on call {number}"),
    }
}

impl Rule {
    fn code(&self) -> Code {
        match self {
            Self::Always => answer(libc::SECCOMP_RET_ALLOW),
            Self::Unknown => answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
            Self::If(argument, test) => {
                // The lower half: numbers are little-endian.
                let load = statement(LOAD, ARGUMENTS + 8 * u32::from(*argument));
                let mut code = vec![load];
                code.extend(test.code());
                code
            }
        }
    }
}

impl Test {
    /// Judges the argument that was loaded.
    fn code(&self) -> Code {
        let allow = statement(RETURN, libc::SECCOMP_RET_ALLOW);
        let trap = statement(RETURN, libc::SECCOMP_RET_TRAP);
        match self {
            Self::OneOf(values) => find(&values.iter().copied().collect::<Vec<_>>()),
            Self::Without(bits) => vec![comparison(IF_ANY_BIT, *bits, 1, 0), allow, trap],
            Self::With(bits) => {
                vec![statement(AND, *bits), comparison(IF_EQUAL, *bits, 0, 1), allow, trap]
            }
            Self::OwnProcess => vec![comparison(IF_EQUAL, OWN_PROCESS, 0, 1), allow, trap],
        }
    }
}

/// Allows what is among `values`, which are sorted.
fn find(values: &[u32]) -> Code {
    if values.len() > FEW {
        let (left, right) = values.split_at(values.len() / 2);
        return branch(right[0], find(left), find(right));
    }
    assert!(!values.contains(&OWN_PROCESS), "{OWN_PROCESS:#x} has a meaning of its own");
    let mut code: Code = (0..)
        .zip(values.iter().rev())
        .map(|(after, value)| comparison(IF_EQUAL, *value, after + 1, 0))
        .collect();
    code.reverse();
    code.push(statement(RETURN, libc::SECCOMP_RET_TRAP));
    code.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    code
}

/// Goes to the code of the interval in which the loaded value is. Each begins where it says.
fn search(intervals: &[(u32, Code)]) -> Code {
    match intervals {
        [(_, code)] => code.clone(),
        _ => {
            let (left, right) = intervals.split_at(intervals.len() / 2);
            branch(right[0].0, search(left), search(right))
        }
    }
}

/// `above` for values from `bound` on, else `below`.
fn branch(bound: u32, below: Code, above: Code) -> Code {
    let mut code = match u8::try_from(below.len()) {
        Ok(distance) => vec![comparison(IF_AT_LEAST, bound, distance, 0)],
        // A comparison goes 255 instructions far.
        Err(_) => {
            let distance = u32::try_from(below.len()).expect("programs are short");
            vec![comparison(IF_AT_LEAST, bound, 0, 1), statement(JUMP, distance)]
        }
    };
    code.extend(below);
    code.extend(above);
    code
}

fn answer(what: u32) -> Code {
    vec![statement(RETURN, what)]
}

fn statement(code: u16, k: u32) -> Instruction {
    comparison(code, k, 0, 0)
}

fn comparison(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}
