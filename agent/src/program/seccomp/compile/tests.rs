//! Compiled programs, carried out here as the kernel would.

use super::*;
use crate::program::seccomp::default;

/// Carries a program out for a call.
fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = vec![number, architecture, 0, 0];
    data.extend(arguments.iter().flat_map(|argument| halves(*argument)));
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut branch = |condition: bool| at += usize::from(if condition { jt } else { jf });
        match code {
            LOAD => accumulator = data[k as usize / 4],
            AND => accumulator &= k,
            JUMP => at += k as usize,
            JUMP_EQUAL => branch(accumulator == k),
            JUMP_GREATER => branch(accumulator > k),
            JUMP_AT_LEAST => branch(accumulator >= k),
            RETURN => return k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

const PERM: Action = Action::Error(1);

fn decided(rules: Vec<Rule>, number: u32, first: u64) -> u32 {
    let program = compile(&Profile { otherwise: PERM, rules });
    run(&program, X86_64, number, [first, 0, 0, 0, 0, 0])
}

fn rule(number: u32, comparison: Option<(Comparison, u64)>, action: Action) -> Rule {
    let conditions = comparison
        .map(|(comparison, value)| Condition { argument: 0, comparison, value })
        .into_iter()
        .collect();
    Rule { number, conditions, action }
}

#[test]
fn each_number_gets_its_action() {
    let rules = || [0, 1, 2, 7, 9, 400].map(|n| rule(n, None, Action::Allow)).to_vec();
    for number in 0..500 {
        let allowed = [0, 1, 2, 7, 9, 400].contains(&number);
        let expected = if allowed { Action::Allow } else { PERM };
        assert_eq!(decided(rules(), number, 0), expected.code(), "{number}");
    }
    assert_eq!(decided(rules(), u32::MAX, 0), PERM.code());
}

#[test]
fn comparisons_are_of_64_bits() {
    const BIG: u64 = 0x1_0000_0005;
    let cases = [
        (Comparison::Equal, [false, true, false]),
        (Comparison::NotEqual, [true, false, true]),
        (Comparison::Less, [true, false, false]),
        (Comparison::LessOrEqual, [true, true, false]),
        (Comparison::Greater, [false, false, true]),
        (Comparison::GreaterOrEqual, [false, true, true]),
    ];
    for (comparison, expected) in cases {
        for (values, expected) in
            [[5, BIG - 1], [BIG, BIG], [BIG + 1, 0x2_0000_0000]].into_iter().zip(expected)
        {
            for value in values {
                let rules = vec![rule(3, Some((comparison, BIG)), Action::Allow)];
                let allowed = decided(rules, 3, value) == Action::Allow.code();
                assert_eq!(allowed, expected, "{value:#x} {comparison:?}");
            }
        }
    }
}

#[test]
fn all_conditions_must_hold_and_the_first_rule_counts() {
    let condition = |argument, value| Condition { argument, comparison: Comparison::Equal, value };
    let both = Rule {
        number: 5,
        conditions: vec![condition(0, 1), condition(2, 9)],
        action: Action::Error(22),
    };
    let rules = vec![both, rule(5, Some((Comparison::Masked(0xf0), 0x10)), Action::Allow)];
    let program = compile(&Profile { otherwise: PERM, rules });
    let decided = |first, third| run(&program, X86_64, 5, [first, 0, third, 0, 0, 0]);
    assert_eq!(decided(1, 9), Action::Error(22).code());
    assert_eq!(decided(1, 8), PERM.code());
    assert_eq!(decided(0x1f, 9), Action::Allow.code());
}

#[test]
fn another_architecture_is_killed() {
    let program = compile(&Profile { otherwise: Action::Allow, rules: Vec::new() });
    assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), Action::KillProcess.code());
}

#[test]
fn the_default_profile_is_short_and_knows_namespaces() {
    let program = compile(&default::profile(&[]));
    assert!(program.len() < 300, "{}", program.len());
    let decided = |number, first| run(&program, X86_64, number, [first, 0, 0, 0, 0, 0]);
    let number = |name| crate::program::seccomp::syscalls::number(name).unwrap();
    assert_eq!(decided(number("read"), 0), Action::Allow.code());
    assert_eq!(decided(number("mount"), 0), PERM.code());
    assert_eq!(decided(number("clone"), 0x11), Action::Allow.code());
    assert_eq!(decided(number("clone"), 0x1000_0011), PERM.code());
    assert_eq!(decided(number("clone3"), 0), Action::Error(38).code());
    assert_eq!(decided(number("socket"), 40), PERM.code());
    assert_eq!(decided(number("personality"), 0xffff_ffff), Action::Allow.code());
    assert_eq!(decided(1000, 0), PERM.code());
}
