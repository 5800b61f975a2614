//! Go's templates, as far as Docker's users write them in `--format`: fields, variables,
//! pipelines, `range`, `if`, `with`, the functions of Go and those that Docker adds.
//!
//! Values are JSON's, so two things are told by their looks only: what is absent and what is null
//! print `<no value>`, and objects print as Go prints maps.

mod compare;
mod eval;
mod format;
mod functions;
mod lex;
mod parse;

use std::str::FromStr;

use serde_json::{Map, Value};

use self::eval::Evaluation;
use super::Column;

/// A template that was understood.
#[derive(Debug)]
pub(crate) struct Template(Vec<parse::Node>);

/// A template cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TemplateError {
    #[error("The template ends within {{{{")]
    Open,
    #[error("The template has {{{{{0}}}}} without {{{{end}}}}")]
    NoEnd(String),
    #[error("The template has {0:?} where it is not expected")]
    Unexpected(String),
    #[error("The template has {0:?}, which is not supported")]
    Unsupported(String),
    #[error("The template has a text without its closing {0}")]
    OpenText(char),
    #[error("The template is nested too deeply")]
    TooDeep,
    #[error("The template has more to do than it may")]
    TooLong,
    #[error("There is no field .{0}")]
    NoField(String),
    #[error("There is no field .{0} in {1}")]
    NoObject(String, String),
    #[error("There is no variable {0}")]
    NoVariable(String),
    #[error("{0}: {1}")]
    Function(&'static str, String),
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        parse::nodes(&lex::pieces(source)?).map(Self)
    }
}

impl Template {
    /// A template for rows, in which `\t` and `\n` stand for a tab and a new line.
    ///
    /// # Errors
    ///
    /// It is not understood.
    pub(crate) fn of_rows(source: &str) -> Result<Self, TemplateError> {
        source.replace("\\t", "\t").replace("\\n", "\n").parse()
    }

    /// The template filled in with a document, of which any field may be absent.
    ///
    /// # Errors
    ///
    /// A function cannot be applied to what it is given.
    pub(crate) fn render(&self, value: &Value) -> Result<String, TemplateError> {
        Evaluation::of(value).run(&self.0)
    }

    /// The template filled in with a row, whose fields are known; `labels` are for `.Label`.
    ///
    /// # Errors
    ///
    /// A field is none of the row's, or a function cannot be applied to what it is given.
    pub(super) fn render_row(
        &self,
        row: &Value,
        labels: &Map<String, Value>,
    ) -> Result<String, TemplateError> {
        Evaluation::of_row(row, labels).run(&self.0)
    }

    /// The line of headings over what the template gives.
    ///
    /// # Errors
    ///
    /// As [`Self::render_row`].
    pub(super) fn headings(&self, columns: &[Column]) -> Result<String, TemplateError> {
        let heading = |(heading, field): &Column| ((*field).to_owned(), Value::from(*heading));
        Evaluation::of_headings(&Value::Object(columns.iter().map(heading).collect())).run(&self.0)
    }
}

#[cfg(test)]
mod tests;
