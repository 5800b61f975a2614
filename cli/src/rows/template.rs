//! The part of Go's templates that lists are printed with: fields, `json`, `len`, `upper`,
//! `lower`, `join`, and text between them.

use std::str::FromStr;

use serde_json::Value;

use super::{Column, text};

/// A template that was understood.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Field { function: Function, path: Vec<String> },
}

#[derive(Debug)]
enum Function {
    Plain,
    Json,
    Len,
    Upper,
    Lower,
    Join(String),
}

/// A template cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("The template ends within {{{{")]
    Open,
    #[error("{{{{{0}}}}} is not supported: only fields, json, len, upper, lower and join are")]
    Unsupported(String),
    #[error("There is no field {0}")]
    NoField(String),
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        let source = source.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = source.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(action_part(action.trim().trim_matches('-').trim())?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

fn action_part(action: &str) -> Result<Part, TemplateError> {
    let unsupported = || TemplateError::Unsupported(action.to_owned());
    let mut words = action.split_whitespace();
    let first = words.next().ok_or_else(unsupported)?;
    let (function, field) = match first {
        "json" => (Function::Json, words.next()),
        "len" => (Function::Len, words.next()),
        "upper" => (Function::Upper, words.next()),
        "lower" => (Function::Lower, words.next()),
        "join" => {
            let field = words.next();
            let separator = words
                .next()
                .and_then(|word| word.strip_prefix('"').and_then(|word| word.strip_suffix('"')));
            (Function::Join(separator.ok_or_else(unsupported)?.to_owned()), field)
        }
        field => (Function::Plain, Some(field)),
    };
    let path = field.and_then(|field| field.strip_prefix('.')).ok_or_else(unsupported)?;
    if words.next().is_some() || path.contains(['(', '|', '$', '"']) {
        return Err(unsupported());
    }
    let path = path.split('.').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect();
    Ok(Part::Field { function, path })
}

impl Template {
    /// The template filled in.
    pub(crate) fn render(&self, value: &Value) -> Result<String, TemplateError> {
        let mut line = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Field { function, path } => {
                    let mut found = value;
                    for name in path {
                        let missing = || TemplateError::NoField(format!(".{}", path.join(".")));
                        found = found.get(name).ok_or_else(missing)?;
                    }
                    line.push_str(&apply(function, found));
                }
            }
        }
        Ok(line)
    }

    /// The line of headings over what the template gives.
    pub(super) fn headings(&self, columns: &[Column]) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field { path, .. } => {
                let name = path.join(".");
                let column = columns.iter().find(|(_, field)| *field == name);
                column.map_or_else(|| name.to_uppercase(), |(heading, _)| (*heading).to_owned())
            }
        });
        parts.collect()
    }
}

fn apply(function: &Function, value: &Value) -> String {
    match function {
        Function::Plain => text(value),
        Function::Json => value.to_string(),
        Function::Len => match value {
            Value::Array(list) => list.len().to_string(),
            Value::Object(map) => map.len().to_string(),
            other => text(other).len().to_string(),
        },
        Function::Upper => text(value).to_uppercase(),
        Function::Lower => text(value).to_lowercase(),
        Function::Join(separator) => match value {
            Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(separator),
            other => text(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String, TemplateError> {
        let value = serde_json::json!({
            "ID": "abc", "State": { "Status": "exited", "Code": 3 }, "Cmd": ["a", "b"],
        });
        template.parse::<Template>()?.render(&value)
    }

    #[test]
    fn fields_and_text_alternate() {
        assert_eq!(render("{{.ID}}\\t{{ .State.Status }}!").unwrap(), "abc\texited!");
    }

    #[test]
    fn functions_apply_to_fields() {
        assert_eq!(render("{{json .Cmd}}").unwrap(), r#"["a","b"]"#);
        assert_eq!(render("{{join .Cmd \",\"}} {{len .Cmd}}").unwrap(), "a,b 2");
        assert_eq!(render("{{upper .ID}}").unwrap(), "ABC");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let error = render("{{range .Cmd}}x{{end}}").unwrap_err().to_string();
        assert!(error.contains("range .Cmd"), "{error}");
        assert!(matches!(render("{{.Nope}}"), Err(TemplateError::NoField(_))));
        assert!(matches!(render("{{.ID"), Err(TemplateError::Open)));
    }

    #[test]
    fn headings_are_those_of_the_columns() {
        let template: Template = "{{.ID}}\t{{.Other}}".parse().unwrap();
        assert_eq!(template.headings(&[("CONTAINER ID", "ID")]), "CONTAINER ID\tOTHER");
    }
}
