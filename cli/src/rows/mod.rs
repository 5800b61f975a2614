//! Lists as Docker's commands print them: columns, JSON lines, or a template of the user's.

mod template;

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

pub(crate) use template::Template;

use crate::output;

/// How a list is printed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Layout {
    /// table, json (an object a line), or a template such as '{{.ID}}\t{{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// A row: values by the names that templates use.
pub(crate) type Row = Map<String, Value>;

/// A column: its heading and the name of its value.
pub(crate) type Column = (&'static str, &'static str);

/// The name of the value of a row that `.Label "name"` looks in, and that is not shown itself.
pub(crate) const LABELS: &str = "Label";

/// A row, and what `.Label` looks in.
fn without_labels(row: &Row) -> (Row, Row) {
    let mut row = row.clone();
    let labels = match row.remove(LABELS) {
        Some(Value::Object(labels)) => labels,
        _ => Row::new(),
    };
    (row, labels)
}

/// A row of texts.
pub(crate) fn row<const N: usize>(values: [(&str, String); N]) -> Row {
    values.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

impl Layout {
    /// What was asked for.
    pub(crate) fn format(&self) -> Option<&str> {
        self.format.as_deref()
    }

    /// Prints a list: of each row only the value that `quiet` names, or as [`Self::print`].
    pub(crate) fn list(
        &self,
        columns: &[Column],
        rows: &[Row],
        quiet: Option<&str>,
    ) -> anyhow::Result<ExitCode> {
        match quiet {
            Some(name) => rows.iter().try_for_each(|row| output::line(&at(&row[name], "")))?,
            None => self.print(columns, rows)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints rows. `columns` are those of the table.
    pub(crate) fn print(&self, columns: &[Column], rows: &[Row]) -> anyhow::Result<()> {
        match self.format.as_deref() {
            None | Some("table") => table(columns, rows),
            Some("json") => rows.iter().try_for_each(|row| {
                let (row, _) = without_labels(row);
                output::line(&serde_json::to_string(&row)?)
            }),
            Some(text) => {
                let (heading, text) = match text.strip_prefix("table ") {
                    Some(text) => (true, text),
                    None => (false, text),
                };
                let template = Template::of_rows(text)?;
                let lines = rows.iter().map(|row| {
                    let (row, labels) = without_labels(row);
                    template.render_row(&Value::Object(row), &labels)
                });
                let lines = lines.collect::<Result<Vec<_>, _>>()?;
                if heading {
                    return aligned(&template.headings(columns)?, &lines);
                }
                lines.iter().try_for_each(|line| output::line(line))
            }
        }
    }
}

fn table(columns: &[Column], rows: &[Row]) -> anyhow::Result<()> {
    let lines = rows.iter().map(|row| {
        let cells = columns.iter().map(|(_, name)| text(row.get(*name).unwrap_or(&Value::Null)));
        cells.collect::<Vec<_>>()
    });
    output::table(columns.iter().map(|(heading, _)| *heading), lines)
}

fn aligned(heading: &str, lines: &[String]) -> anyhow::Result<()> {
    let cells = |line: &str| line.split('\t').map(ToOwned::to_owned).collect::<Vec<_>>();
    output::table(cells(heading), lines.iter().map(|line| cells(line)))
}

/// A value as a cell has it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value at a path (`/State/Status`), as text.
pub(crate) fn at(value: &Value, path: &str) -> String {
    value.pointer(path).map(text).unwrap_or_default()
}

/// Prints the answers of `inspect`: a JSON list, or the template for each.
pub(crate) fn inspected(values: &[Value], format: Option<&str>) -> anyhow::Result<()> {
    match format {
        None => output::json(&values),
        Some("json") => output::line(&serde_json::to_string(values)?),
        Some(text) => {
            let template: Template = text.parse()?;
            values.iter().try_for_each(|value| output::line(&template.render(value)?))
        }
    }
}
