//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;

use serde_json::Value;

use super::TemplateError;
use super::eval::Found;
use super::format::plain;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Whether `first` stands so to the second; `eq` asks whether it does to any of `others`.
pub(super) fn compare(
    wanted: Wanted,
    first: Option<&Value>,
    others: &[Found],
) -> Result<bool, TemplateError> {
    if others.len() > 1 && wanted != Wanted::Equal {
        let wrong = "more than two values".to_owned();
        return Err(TemplateError::Function("a comparison", wrong));
    }
    for other in others {
        let order = order(first, other.as_ref(), wanted)?;
        let is = match wanted {
            Wanted::Equal => order == Some(Ordering::Equal),
            Wanted::Different => order != Some(Ordering::Equal),
            Wanted::Less => order == Some(Ordering::Less),
            Wanted::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Wanted::Greater => order == Some(Ordering::Greater),
            Wanted::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        };
        if is {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How two values stand to each other; what is absent is equal to its like only.
fn order(
    one: Option<&Value>,
    other: Option<&Value>,
    wanted: Wanted,
) -> Result<Option<Ordering>, TemplateError> {
    let only_equal = matches!(wanted, Wanted::Equal | Wanted::Different);
    match (one.filter(|it| !it.is_null()), other.filter(|it| !it.is_null())) {
        (None, None) if only_equal => Ok(Some(Ordering::Equal)),
        (None, _) | (_, None) if only_equal => Ok(None),
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => Ok(Some(one.cmp(&other))),
                _ => Ok(one.as_f64().partial_cmp(&other.as_f64())),
            }
        }
        (Some(Value::String(one)), Some(Value::String(other))) => Ok(Some(one.cmp(other))),
        (Some(Value::Bool(one)), Some(Value::Bool(other))) if only_equal => {
            Ok(Some(one.cmp(other)))
        }
        (one, other) => {
            let wrong = format!("{} and {} are not comparable", plain(one), plain(other));
            Err(TemplateError::Function("a comparison", wrong))
        }
    }
}
