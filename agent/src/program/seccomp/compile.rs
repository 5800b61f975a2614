//! From a profile to the kernel's filter program.
//!
//! Calls of neighbouring numbers that fare alike are one range, and the range is found by halving:
//! the program is short, and what the kernel does to prepare it takes a fraction of what a chain
//! of comparisons would.

use nix::libc::sock_filter;

use super::{Action, Comparison, Condition, Profile, Rule};

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
pub(super) const LONGEST: usize = 4096;

// Classes and modes of instructions (linux/bpf_common.h).
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xc000_003e;

/// What happens from a number on, up to the next range.
struct Range<'a> {
    start: u32,
    rules: Vec<&'a Rule>,
}

/// The program for a profile.
pub(super) fn compile(profile: &Profile) -> Vec<sock_filter> {
    let ranges = ranges_of(profile);
    let mut program = vec![
        statement(LOAD, ARCHITECTURE),
        // Other architectures number their calls in other ways.
        jump(JUMP_EQUAL, X86_64, 1, 0),
        statement(RETURN, Action::KillProcess.code()),
        statement(LOAD, NUMBER),
    ];
    program.extend(search(&ranges, profile.otherwise));
    program
}

fn ranges_of(profile: &Profile) -> Vec<Range<'_>> {
    let mut rules: Vec<&Rule> = profile.rules.iter().collect();
    rules.sort_by_key(|rule| rule.number);
    let mut ranges = vec![Range { start: 0, rules: Vec::new() }];
    for group in rules.chunk_by(|one, other| one.number == other.number) {
        let Some(first) = group.first() else { continue };
        // What comes behind one without conditions never counts.
        let end = group.iter().position(|rule| rule.conditions.is_empty());
        let group = group.get(..end.map_or(group.len(), |end| end + 1)).unwrap_or_default();
        add(&mut ranges, Range { start: first.number, rules: group.to_vec() });
        if let Some(next) = first.number.checked_add(1) {
            add(&mut ranges, Range { start: next, rules: Vec::new() });
        }
    }
    ranges.dedup_by(|later, earlier| alike(&later.rules, &earlier.rules));
    ranges
}

/// Adds a range, in place of one that begins at the same number and is empty so.
fn add<'a>(ranges: &mut Vec<Range<'a>>, range: Range<'a>) {
    if ranges.last().is_some_and(|last| last.start == range.start) {
        ranges.pop();
    }
    ranges.push(range);
}

fn alike(one: &[&Rule], other: &[&Rule]) -> bool {
    let same = |(one, other): (&&Rule, &&Rule)| {
        one.action == other.action && one.conditions == other.conditions
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// Finds the range of the number that is loaded.
fn search(ranges: &[Range<'_>], otherwise: Action) -> Vec<sock_filter> {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = upper.first().filter(|_| !lower.is_empty()) else {
        return ranges.first().map_or_else(Vec::new, |range| decide(&range.rules, otherwise));
    };
    let below = search(lower, otherwise);
    // A conditional jump reaches 255 instructions, another any.
    let over = u32::try_from(below.len()).unwrap_or(u32::MAX);
    let mut program = vec![jump(JUMP_AT_LEAST, middle.start, 0, 1), statement(JUMP, over)];
    program.extend(below);
    program.extend(search(upper, otherwise));
    program
}

/// What happens to a call of a range.
fn decide(rules: &[&Rule], otherwise: Action) -> Vec<sock_filter> {
    let mut program = Vec::new();
    for rule in rules {
        let checks = rule.conditions.iter().map(check);
        let mut code: Vec<sock_filter> = Vec::new();
        for piece in checks.collect::<Vec<_>>().into_iter().rev() {
            // From the end, so that it is known how far "no" is: behind the return.
            let rest = code.len() + 1;
            code.splice(0..0, piece.resolve(rest));
        }
        program.extend(code);
        program.push(statement(RETURN, rule.action.code()));
        if rule.conditions.is_empty() {
            return program;
        }
    }
    program.push(statement(RETURN, otherwise.code()));
    program
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    Next,
    /// The condition holds.
    Yes,
    /// It does not.
    No,
}

/// An instruction whose jumps are not known yet.
enum Piece {
    Plain(sock_filter),
    Compare { code: u16, value: u32, then: To, otherwise: To },
}

/// The instructions of one condition.
struct Check(Vec<Piece>);

impl Check {
    /// Fills the jumps in; "no" is `rest` instructions behind the end.
    fn resolve(self, rest: usize) -> Vec<sock_filter> {
        let length = self.0.len();
        let resolved = self.0.into_iter().enumerate().map(|(index, piece)| match piece {
            Piece::Plain(statement) => statement,
            Piece::Compare { code, value, then, otherwise } => {
                let distance = |to| {
                    let left = length - index - 1;
                    let distance = match to {
                        To::Next => 0,
                        To::Yes => left,
                        To::No => left + rest,
                    };
                    // Six conditions of at most seven instructions are within reach.
                    u8::try_from(distance).unwrap_or(u8::MAX)
                };
                jump(code, value, distance(then), distance(otherwise))
            }
        });
        resolved.collect()
    }
}

/// Compares the two halves of an argument, the upper one first.
fn check(condition: &Condition) -> Check {
    use Comparison as C;
    let [low, high] = halves(condition.value);
    let compare = |code, value, then, otherwise| Piece::Compare { code, value, then, otherwise };
    let at = ARGUMENTS + 8 * u32::from(condition.argument);
    let load_low = || Piece::Plain(statement(LOAD, at));
    let load_high = || Piece::Plain(statement(LOAD, at + 4));
    let ordered = |code, yes, no| {
        vec![
            load_high(),
            compare(JUMP_GREATER, high, if yes { To::Yes } else { To::No }, To::Next),
            compare(JUMP_EQUAL, high, To::Next, if yes { To::No } else { To::Yes }),
            load_low(),
            compare(code, low, if yes { To::Yes } else { To::No }, no),
        ]
    };
    Check(match condition.comparison {
        C::Equal => vec![
            load_high(),
            compare(JUMP_EQUAL, high, To::Next, To::No),
            load_low(),
            compare(JUMP_EQUAL, low, To::Yes, To::No),
        ],
        C::NotEqual => vec![
            load_high(),
            compare(JUMP_EQUAL, high, To::Next, To::Yes),
            load_low(),
            compare(JUMP_EQUAL, low, To::No, To::Yes),
        ],
        C::Masked(mask) => {
            let [mask_low, mask_high] = halves(mask);
            vec![
                load_high(),
                Piece::Plain(statement(AND, mask_high)),
                compare(JUMP_EQUAL, high, To::Next, To::No),
                load_low(),
                Piece::Plain(statement(AND, mask_low)),
                compare(JUMP_EQUAL, low, To::Yes, To::No),
            ]
        }
        C::Greater => ordered(JUMP_GREATER, true, To::No),
        C::GreaterOrEqual => ordered(JUMP_AT_LEAST, true, To::No),
        C::Less => ordered(JUMP_AT_LEAST, false, To::Yes),
        C::LessOrEqual => ordered(JUMP_GREATER, false, To::Yes),
    })
}

fn halves(value: u64) -> [u32; 2] {
    [value, value >> 32].map(|half| u32::try_from(half & 0xffff_ffff).unwrap_or(0))
}

fn statement(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
