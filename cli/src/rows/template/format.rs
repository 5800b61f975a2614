//! Values as Go prints them.

use std::str::Chars;

use serde_json::{Number, Value};

use super::TemplateError;
use super::eval::Found;

/// The widest that a value is made by a format.
const WIDEST: usize = 1 << 12;

/// A value as a template prints it.
pub(super) fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "<no value>".to_owned(),
        Some(value) => text(value),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut items: Vec<_> = map.iter().collect();
            items.sort_by_key(|(key, _)| *key);
            let items: Vec<_> =
                items.iter().map(|(key, value)| format!("{key}:{}", text(value))).collect();
            format!("map[{}]", items.join(" "))
        }
    }
}

fn number(value: &Number) -> String {
    match value.as_f64() {
        Some(real) if value.is_f64() => {
            let large = real != 0.0 && !(1e-4..1e21).contains(&real.abs());
            if large { exponent(&format!("{real:e}")) } else { real.to_string() }
        }
        _ => value.to_string(),
    }
}

/// `1e21` as `1e+21`: Go has a sign and two digits.
fn exponent(text: &str) -> String {
    let Some((digits, power)) = text.split_once('e') else { return text.to_owned() };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

/// `print`, with spaces between what are no texts, and `println`, with spaces everywhere.
pub(super) fn printed(values: &[Found], line: bool) -> String {
    let mut all = String::new();
    let mut last_is_text = true;
    for (at, value) in values.iter().enumerate() {
        let is_text = matches!(value, Some(Value::String(_)));
        if at > 0 && (line || !is_text && !last_is_text) {
            all.push(' ');
        }
        all.push_str(&value.as_ref().map_or_else(|| "<nil>".to_owned(), text));
        last_is_text = is_text;
    }
    if line {
        all.push('\n');
    }
    all
}

/// How a value is laid out: `%-08.3f` without its last letter.
#[derive(Debug, Default)]
struct Layout {
    left: bool,
    zeros: bool,
    plus: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn printf(form: &str, values: &[Found]) -> Result<String, TemplateError> {
    let mut all = String::new();
    let mut values = values.iter();
    let mut letters = form.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            all.push(letter);
            continue;
        }
        let (layout, verb) = layout(&mut letters)?;
        match (verb, values.len()) {
            (None, _) => all.push_str("%!(NOVERB)"),
            (Some('%'), _) => all.push('%'),
            (Some(verb), 0) => all.push_str(&format!("%!{verb}(MISSING)")),
            (Some(verb), _) => {
                let value = values.next().and_then(Option::as_ref);
                all.push_str(&layout.fill(&layout.value(verb, value), verb));
            }
        }
    }
    let extra: Vec<_> = values
        .map(|value| {
            format!("{}={}", kind(value.as_ref()), value.as_ref().map_or_else(String::new, text))
        })
        .collect();
    if !extra.is_empty() {
        all.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(all)
}

fn layout(letters: &mut Chars<'_>) -> Result<(Layout, Option<char>), TemplateError> {
    let mut layout = Layout::default();
    loop {
        let letter = letters.next();
        match letter {
            Some('-') => layout.left = true,
            Some('+') => layout.plus = true,
            Some('#') => layout.alternate = true,
            Some('0') if layout.width == 0 && layout.precision.is_none() => layout.zeros = true,
            Some('.') => layout.precision = Some(0),
            Some(digit @ '0'..='9') => {
                let number = layout.precision.as_mut().unwrap_or(&mut layout.width);
                let digit = digit.to_digit(10).and_then(|it| usize::try_from(it).ok());
                *number = number.saturating_mul(10).saturating_add(digit.unwrap_or(0)).min(WIDEST);
            }
            Some('*' | '[' | ' ') => {
                let verb = format!("%{}", letter.unwrap_or_default());
                return Err(TemplateError::Unsupported(verb));
            }
            verb => return Ok((layout, verb)),
        }
    }
}

impl Layout {
    fn value(&self, verb: char, value: Option<&Value>) -> String {
        let cut = |text: &str| -> String {
            text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
        };
        let signed = |text: String, negative: bool| {
            if self.plus && !negative { format!("+{text}") } else { text }
        };
        match (verb, value) {
            ('s', Some(Value::String(text))) => cut(text),
            ('s', Some(list @ (Value::Array(_) | Value::Object(_)))) => text(list),
            ('v', None) => "<nil>".to_owned(),
            ('v', Some(Value::String(text))) if self.alternate => quoted(text),
            ('v', Some(value)) => text(value),
            ('q', Some(Value::String(text))) => quoted(&cut(text)),
            ('x', Some(Value::String(text))) => {
                text.bytes().map(|byte| format!("{byte:02x}")).collect()
            }
            ('t', Some(Value::Bool(value))) => value.to_string(),
            ('d', Some(Value::Number(it))) if !it.is_f64() => {
                signed(it.to_string(), it.as_i64().is_some_and(i64::is_negative))
            }
            ('x', Some(Value::Number(it))) if it.as_u64().is_some() => {
                format!("{:x}", it.as_u64().unwrap_or_default())
            }
            ('f', Some(Value::Number(it))) if it.is_f64() => {
                let real = it.as_f64().unwrap_or_default();
                let digits = self.precision.unwrap_or(6);
                signed(format!("{real:.digits$}"), real.is_sign_negative())
            }
            ('g', Some(Value::Number(it))) if it.is_f64() => number(it),
            ('T', value) => kind(value).to_owned(),
            (verb, None) => format!("%!{verb}(<nil>)"),
            (verb, Some(value)) => format!("%!{verb}({}={})", kind(Some(value)), text(value)),
        }
    }

    /// Brings a text to its width.
    fn fill(&self, text: &str, verb: char) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let digits = text.strip_prefix(['-', '+']);
        if self.left {
            format!("{text}{}", " ".repeat(missing))
        } else if self.zeros && matches!(verb, 'd' | 'f' | 'g' | 'x') {
            let sign = text.get(..text.len() - digits.unwrap_or(text).len()).unwrap_or_default();
            format!("{sign}{}{}", "0".repeat(missing), digits.unwrap_or(text))
        } else {
            format!("{}{text}", " ".repeat(missing))
        }
    }
}

/// The kind of a value, as Go calls it.
fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None | Some(Value::Null) => "<nil>",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(number)) if number.is_f64() => "float64",
        Some(Value::Number(_)) => "int",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "[]interface {}",
        Some(Value::Object(_)) => "map[string]interface {}",
    }
}

fn quoted(text: &str) -> String {
    let mut all = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => all.push_str("\\\""),
            '\\' => all.push_str("\\\\"),
            '\n' => all.push_str("\\n"),
            '\t' => all.push_str("\\t"),
            '\r' => all.push_str("\\r"),
            control if control.is_ascii_control() => {
                all.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => all.push(other),
        }
    }
    all.push('"');
    all
}
