//! The functions of templates: Go's, and those that Docker adds.

use std::str::FromStr;

use serde_json::Value;

use super::TemplateError;
use super::compare;
use super::eval::{Found, truth};
use super::format::{plain, printed, printf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Compare(compare::Wanted),
    Index,
    Slice,
    Len,
    Print,
    Println,
    Printf,
    Json,
    Split,
    Join,
    Title,
    Lower,
    Upper,
    Pad,
    Truncate,
}

impl FromStr for Function {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "eq" => Self::Compare(compare::Wanted::Equal),
            "ne" => Self::Compare(compare::Wanted::Different),
            "lt" => Self::Compare(compare::Wanted::Less),
            "le" => Self::Compare(compare::Wanted::LessOrEqual),
            "gt" => Self::Compare(compare::Wanted::Greater),
            "ge" => Self::Compare(compare::Wanted::GreaterOrEqual),
            "index" => Self::Index,
            "slice" => Self::Slice,
            "len" => Self::Len,
            "print" => Self::Print,
            "println" => Self::Println,
            "printf" => Self::Printf,
            "json" => Self::Json,
            "split" => Self::Split,
            "join" => Self::Join,
            "title" => Self::Title,
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "pad" => Self::Pad,
            "truncate" => Self::Truncate,
            _ => return Err(()),
        })
    }
}

impl Function {
    /// What it gives for `arguments`.
    pub(super) fn apply(self, arguments: &[Found]) -> Result<Found, TemplateError> {
        let text = |at: usize| arguments.get(at).map(|it| words(it.as_ref())).unwrap_or_default();
        let value = match (self, arguments) {
            (Self::And | Self::Or, [.., last]) => return Ok(last.clone()),
            (Self::Not, [value]) => Value::Bool(!truth(value.as_ref())),
            (Self::Compare(wanted), [first, others @ ..]) if !others.is_empty() => {
                Value::Bool(compare::compare(wanted, first.as_ref(), others)?)
            }
            (Self::Index, [value, keys @ ..]) => return index(value, keys),
            (Self::Slice, [value, from @ ..]) if from.len() < 3 => return slice(value, from),
            (Self::Len, [value]) => length(value.as_ref())?,
            (Self::Print, values) => Value::String(printed(values, false)),
            (Self::Println, values) => Value::String(printed(values, true)),
            (Self::Printf, [Some(Value::String(form)), values @ ..]) => {
                Value::String(printf(form, values)?)
            }
            (Self::Json, [value]) => {
                Value::String(value.as_ref().map_or_else(|| "null".to_owned(), Value::to_string))
            }
            (Self::Split, [_, _]) => split(&text(0), &text(1)),
            (Self::Join, [list, _]) => Value::String(join(list.as_ref(), &text(1))),
            (Self::Title, [_]) => Value::String(title(&text(0))),
            (Self::Lower, [_]) => Value::String(text(0).to_lowercase()),
            (Self::Upper, [_]) => Value::String(text(0).to_uppercase()),
            (Self::Pad, [_, before, after]) => {
                let spaces = |count: &Found| " ".repeat(number(count).unwrap_or(0).min(1000));
                Value::String(format!("{}{}{}", spaces(before), text(0), spaces(after)))
            }
            (Self::Truncate, [_, length]) => {
                let kept = number(length).unwrap_or(usize::MAX);
                Value::String(text(0).chars().take(kept).collect())
            }
            _ => return Err(TemplateError::Function(self.name(), wrong_count(arguments.len()))),
        };
        Ok(Some(value))
    }

    fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Compare(_) => "a comparison",
            Self::Index => "index",
            Self::Slice => "slice",
            Self::Len => "len",
            Self::Print => "print",
            Self::Println => "println",
            Self::Printf => "printf",
            Self::Json => "json",
            Self::Split => "split",
            Self::Join => "join",
            Self::Title => "title",
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Pad => "pad",
            Self::Truncate => "truncate",
        }
    }
}

fn wrong_count(count: usize) -> String {
    format!("{count} arguments are not what it takes")
}

/// A text as it is; what is absent is an empty one.
fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        value => plain(value),
    }
}

/// A number that is no less than nothing.
fn number(value: &Found) -> Option<usize> {
    value.as_ref().and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
}

/// What is in an object or a list, in what is in that, and so on. An object has for what it has
/// not what Go has for it: something empty, of the kind that the others in it are.
fn index(value: &Found, keys: &[Found]) -> Result<Found, TemplateError> {
    let wrong = |text: String| Err(TemplateError::Function("index", text));
    let mut value = value.clone();
    for key in keys {
        value = match (value, key) {
            (None | Some(Value::Null), Some(Value::String(_))) => Some(Value::from("")),
            (Some(Value::Object(mut map)), Some(Value::String(key))) => match map.remove(key) {
                Some(value) => Some(value),
                None => empty_like(map.values().next()),
            },
            (Some(Value::Array(mut list)), key) => {
                match number(key).filter(|at| *at < list.len()) {
                    Some(at) => Some(list.swap_remove(at)),
                    None => return wrong(format!("{} is not in the list", plain(key.as_ref()))),
                }
            }
            (other, key) => {
                let (value, key) = (plain(other.as_ref()), plain(key.as_ref()));
                return wrong(format!("there is no {key} in {value}"));
            }
        };
    }
    Ok(value)
}

fn empty_like(value: Option<&Value>) -> Found {
    match value {
        None | Some(Value::String(_)) => Some(Value::from("")),
        Some(Value::Array(_)) => Some(Value::Array(Vec::new())),
        Some(Value::Number(_)) => Some(Value::from(0)),
        Some(Value::Bool(_)) => Some(Value::Bool(false)),
        Some(Value::Object(_) | Value::Null) => None,
    }
}

/// A part of a text, by bytes, or of a list.
fn slice(value: &Found, range: &[Found]) -> Result<Found, TemplateError> {
    let wrong = || {
        let what = plain(value.as_ref());
        TemplateError::Function("slice", format!("there is no such part of {what}"))
    };
    let length = match value {
        Some(Value::String(text)) => text.len(),
        Some(Value::Array(list)) => list.len(),
        _ => return Err(wrong()),
    };
    let bound = |at: usize, default| match range.get(at) {
        Some(bound) => number(bound).ok_or_else(wrong),
        None => Ok(default),
    };
    let range = bound(0, 0)?..bound(1, length)?;
    let part = match value {
        Some(Value::String(text)) => text.get(range).map(Value::from),
        Some(Value::Array(list)) => list.get(range).map(|part| Value::Array(part.to_vec())),
        _ => None,
    };
    part.map(Some).ok_or_else(wrong)
}

fn length(value: Option<&Value>) -> Result<Value, TemplateError> {
    let length = match value {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) => text.len(),
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        Some(other) => {
            return Err(TemplateError::Function("len", format!("{other} has no length")));
        }
    };
    Ok(Value::from(length))
}

fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return text.chars().map(|letter| Value::String(letter.to_string())).collect();
    }
    text.split(separator).map(Value::from).collect()
}

fn join(list: Option<&Value>, separator: &str) -> String {
    match list {
        Some(Value::Array(list)) => {
            list.iter().map(|item| plain(Some(item))).collect::<Vec<_>>().join(separator)
        }
        other => words(other),
    }
}

/// Each word with a large first letter.
fn title(text: &str) -> String {
    let mut start = true;
    let mut titled = String::with_capacity(text.len());
    for letter in text.chars() {
        if start {
            titled.extend(letter.to_uppercase());
        } else {
            titled.push(letter);
        }
        start = letter.is_whitespace();
    }
    titled
}
