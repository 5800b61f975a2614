//! A template's text, cut into what is printed as it is and the words of actions.

use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::Value;

use super::TemplateError;

/// Text, or what stands between `{{` and `}}`.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `.`
    Dot,
    /// `.A.B`; `joined` to what stands right before it.
    Fields {
        names: Vec<String>,
        joined: bool,
    },
    /// `$` or `$name`
    Variable(String),
    Literal(Value),
    /// A function or a keyword.
    Word(String),
    /// `|`, `(`, `)`, `,`, `=` or `:=`
    Sign(&'static str),
}

pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let mut text = if trim { before.trim_start() } else { before };
        let after = match trimmed_start(after) {
            Some(after) => {
                text = text.trim_end();
                after
            }
            None => after,
        };
        pieces.push(Piece::Text(text.to_owned()));
        if let Some(comment) = after.trim_start().strip_prefix("/*") {
            let (_, after) = comment.split_once("*/").ok_or(TemplateError::Open)?;
            let (end, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
            trim = end.trim() == "-";
            rest = after;
            continue;
        }
        let length = end_of_action(after)?;
        let (inside, after) = after.split_at_checked(length).ok_or(TemplateError::Open)?;
        let cut = inside.strip_suffix('-').filter(|inside| inside.ends_with(char::is_whitespace));
        trim = cut.is_some();
        pieces.push(Piece::Action(tokens(cut.unwrap_or(inside))?));
        rest = after.strip_prefix("}}").ok_or(TemplateError::Open)?;
    }
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

/// What follows `{{-`, which is no minus if there is space behind it.
fn trimmed_start(action: &str) -> Option<&str> {
    action.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace))
}

/// Where `}}` stands that is in no text.
fn end_of_action(action: &str) -> Result<usize, TemplateError> {
    let mut quote = None;
    let mut letters = action.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (None, '"' | '`') => quote = Some(letter),
            (None, '}') if action.get(at..).is_some_and(|rest| rest.starts_with("}}")) => {
                return Ok(at);
            }
            (Some('"'), '\\') => drop(letters.next()),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
    }
    Err(quote.map_or(TemplateError::Open, TemplateError::OpenText))
}

type Letters<'a> = Peekable<CharIndices<'a>>;

fn tokens(action: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut letters = action.char_indices().peekable();
    let mut spaced = true;
    while let Some((_, letter)) = letters.next() {
        let joined = !spaced;
        spaced = letter.is_whitespace();
        let next = |letters: &mut Letters<'_>| letters.peek().map(|(_, letter)| *letter);
        tokens.push(match letter {
            _ if spaced => continue,
            '"' => Token::Literal(Value::String(quoted(&mut letters)?)),
            '`' => {
                let raw = letters.by_ref().map(|(_, letter)| letter);
                Token::Literal(Value::String(raw.take_while(|letter| *letter != '`').collect()))
            }
            '$' => Token::Variable(format!("${}", name(&mut letters))),
            '.' if next(&mut letters).is_some_and(in_name) => fields(&mut letters, joined),
            '.' => Token::Dot,
            '|' => Token::Sign("|"),
            '(' => Token::Sign("("),
            ')' => Token::Sign(")"),
            ',' => Token::Sign(","),
            '=' => Token::Sign("="),
            ':' if letters.next_if(|(_, letter)| *letter == '=').is_some() => Token::Sign(":="),
            '+' | '-' | '0'..='9' => number(letter, &mut letters)?,
            letter if in_name(letter) => Token::Word(format!("{letter}{}", name(&mut letters))),
            other => return Err(TemplateError::Unexpected(other.to_string())),
        });
    }
    Ok(tokens)
}

fn in_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn name(letters: &mut Letters<'_>) -> String {
    std::iter::from_fn(|| letters.next_if(|(_, letter)| in_name(*letter)))
        .map(|(_, letter)| letter)
        .collect()
}

fn fields(letters: &mut Letters<'_>, joined: bool) -> Token {
    let mut names = vec![name(letters)];
    loop {
        let mut ahead = letters.clone();
        let dot = ahead.next().is_some_and(|(_, letter)| letter == '.');
        if !dot || !ahead.peek().is_some_and(|(_, letter)| in_name(*letter)) {
            return Token::Fields { names, joined };
        }
        *letters = ahead;
        names.push(name(letters));
    }
}

fn number(first: char, letters: &mut Letters<'_>) -> Result<Token, TemplateError> {
    let more = |letter: char| in_name(letter) || letter == '.';
    let rest = std::iter::from_fn(|| letters.next_if(|(_, letter)| more(*letter)));
    let text: String = std::iter::once(first).chain(rest.map(|(_, letter)| letter)).collect();
    let whole = text.parse::<i64>().map(Value::from);
    let value = whole.or_else(|_| text.parse::<f64>().map(Value::from));
    value.map(Token::Literal).map_err(|_| TemplateError::Unexpected(text))
}

fn quoted(letters: &mut Letters<'_>) -> Result<String, TemplateError> {
    let mut text = String::new();
    let mut next = || letters.next().map(|(_, letter)| letter).ok_or(TemplateError::OpenText('"'));
    loop {
        match next()? {
            '"' => return Ok(text),
            '\\' => text.push(match next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                same @ ('"' | '\\' | '\'') => same,
                other => return Err(TemplateError::Unsupported(format!("\\{other}"))),
            }),
            other => text.push(other),
        }
    }
}
