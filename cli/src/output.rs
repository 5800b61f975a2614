//! What commands print: tables or JSON on standard output, errors on standard error.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    line(&text)
}

/// Prints a line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // Nobody reads any more (`bulkhead vm ls | head -1`): nothing is wrong.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// The least characters of a column but the last, besides the gap after it, as Docker has it.
const LEAST_WIDTH: usize = 7;

/// Prints rows below their headings, in columns.
pub(crate) fn table<H, R>(headings: H, rows: impl IntoIterator<Item = R>) -> anyhow::Result<()>
where
    H: IntoIterator<Item: Into<String>>,
    R: IntoIterator<Item: Into<String>>,
{
    let mut builder = Builder::default();
    builder.push_record(padded(headings));
    for row in rows {
        builder.push_record(padded(row));
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 3, 0, 0));
    let text = table.to_string();
    let trimmed: Vec<_> = text.lines().map(str::trim_end).collect();
    line(&trimmed.join("\n"))
}

fn padded(cells: impl IntoIterator<Item: Into<String>>) -> Vec<String> {
    let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
    if let Some((_, before)) = cells.split_last_mut() {
        for cell in before {
            *cell = format!("{cell:<LEAST_WIDTH$}");
        }
    }
    cells
}

/// Empties the terminal.
pub(crate) fn clear() -> anyhow::Result<()> {
    write!(io::stdout(), "\x1b[H\x1b[J")?;
    Ok(())
}

/// Says what is about to happen and asks whether it is to.
pub(crate) fn confirmed(what: &str) -> anyhow::Result<bool> {
    note(&format!("WARNING! {what}"));
    write!(io::stderr(), "Go on? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line.
pub(crate) fn asked(prompt: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{prompt}")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for something that is not shown while it is typed.
pub(crate) fn secret(prompt: &str) -> anyhow::Result<String> {
    crate::host::signals::restore_terminal_before_the_end()?;
    let mut answer = String::new();
    {
        // First, so that nothing is shown that is typed as soon as it is asked for.
        let _hidden = crate::host::terminal::NoEcho::enter()?;
        write!(io::stderr(), "{prompt}")?;
        io::stdin().read_line(&mut answer)?;
    }
    note("");
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// Tells the user something beside the result.
pub(crate) fn note(text: &str) {
    // Standard error may be closed; there is nobody to tell then.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells the user what went wrong, with every cause once.
pub(crate) fn report(error: &anyhow::Error) {
    note(&format!("bulkhead: {}", chain(error)));
}

/// An error with its causes, but for those that the one before names already.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !last.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        last = cause;
    }
    text
}
