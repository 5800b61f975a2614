//! The table of faults in `docs/faults.md` and the tests that it names. Needs no VM.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// The lines of the table; those between belong to what is not tested yet.
const LINES: [u32; 33] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 32, 33, 34, 35,
];

/// A line of the table: its number and the tests it names, each a file and a function.
struct Line<'a> {
    number: u32,
    tests: Vec<(&'a str, &'a str)>,
}

fn lines(table: &str) -> Vec<Line<'_>> {
    table.lines().filter_map(line).collect()
}

/// `| NUMBER | … | … | `FILE::FUNCTION` … |`
fn line(text: &str) -> Option<Line<'_>> {
    let mut cells = text.strip_prefix('|')?.split('|');
    let number = cells.next()?.trim().parse().ok()?;
    let tests = cells.nth(2)?.split('`').filter_map(|test| test.split_once("::")).collect();
    Some(Line { number, tests })
}

fn check(root: &Path, (file, function): (&str, &str)) -> anyhow::Result<()> {
    let text = fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
    ensure!(text.contains(&format!("fn {function}(")), "{file} has no {function}");
    Ok(())
}

#[test]
fn leaks_have_tests_that_are_there() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/faults.md"))?;
    let (_, leaks) = text.split_once("## Leaks").context("nothing is said of leaks")?;
    let tests: Vec<_> = leaks.split('`').filter_map(|test| test.split_once("::")).collect();
    assert_eq!(tests.len(), 2);
    tests.into_iter().try_for_each(|test| check(&root, test))
}

#[test]
fn each_fault_has_tests_that_are_there() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = fs::read_to_string(root.join("docs/faults.md"))?;
    let lines = lines(&table);
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), LINES);
    for line in lines {
        ensure!(!line.tests.is_empty(), "line {} has no test", line.number);
        for test in line.tests {
            check(&root, test).with_context(|| format!("line {}", line.number))?;
        }
    }
    Ok(())
}
