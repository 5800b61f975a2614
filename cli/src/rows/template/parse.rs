//! The tree of a template.

use std::iter::Peekable;
use std::slice::Iter;

use serde_json::Value;

use super::TemplateError;
use super::functions::Function;
use super::lex::{Piece, Token};

/// How deeply blocks and brackets may be in each other.
const DEPTH: usize = 64;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    Block { kind: Kind, pipeline: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    Leave { goes_on: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    If,
    With,
    Range,
}

/// Commands, each with the result of the one before it as its last argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// Variables that get the result.
    pub(super) variables: Vec<String>,
    /// Whether they are new.
    pub(super) declared: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
pub(super) enum Operand {
    Dot,
    Nil,
    Variable(String),
    Literal(Value),
    Function(Function),
    Fields(Box<Operand>, Vec<String>),
    Group(Pipeline),
}

pub(super) fn nodes(pieces: &[Piece]) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { pieces: pieces.iter(), ranges: 0 };
    match parser.list(0)? {
        (nodes, End::Template) => Ok(nodes),
        (_, End::Block) => Err(TemplateError::Unexpected("end".to_owned())),
        (_, End::Else(_)) => Err(TemplateError::Unexpected("else".to_owned())),
    }
}

struct Parser<'a> {
    pieces: Iter<'a, Piece>,
    /// How many `range` are open.
    ranges: usize,
}

/// What a list of nodes ends with.
enum End<'a> {
    Template,
    Block,
    /// With what follows the word.
    Else(&'a [Token]),
}

impl<'a> Parser<'a> {
    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, End<'a>), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    continue;
                }
                Piece::Action(tokens) => tokens.as_slice(),
            };
            let Some((Token::Word(word), rest)) = tokens.split_first() else {
                nodes.push(Node::Print(pipeline(tokens)?));
                continue;
            };
            match (word.as_str(), rest) {
                ("end", []) => return Ok((nodes, End::Block)),
                ("else", rest) => return Ok((nodes, End::Else(rest))),
                ("break" | "continue", []) if self.ranges > 0 => {
                    nodes.push(Node::Leave { goes_on: word == "continue" });
                }
                ("define" | "template" | "block", _) => {
                    return Err(TemplateError::Unsupported(word.clone()));
                }
                _ => nodes.push(match kind(word) {
                    Some(kind) => self.block(kind, word, rest, depth)?,
                    None => Node::Print(pipeline(tokens)?),
                }),
            }
        }
        Ok((nodes, End::Template))
    }

    fn block(
        &mut self,
        kind: Kind,
        word: &str,
        tokens: &'a [Token],
        depth: usize,
    ) -> Result<Node, TemplateError> {
        if depth >= DEPTH {
            return Err(TemplateError::TooDeep);
        }
        let inside = usize::from(kind == Kind::Range);
        let pipeline = pipeline(tokens)?;
        if pipeline.variables.len() > 1 + inside {
            return Err(TemplateError::Unexpected(",".to_owned()));
        }
        self.ranges += inside;
        let (body, end) = self.list(depth + 1)?;
        self.ranges -= inside;
        let no_end = || TemplateError::NoEnd(word.to_owned());
        let otherwise = match end {
            End::Template => return Err(no_end()),
            End::Block => Vec::new(),
            // `else if` is a block of its own that the same `end` closes.
            End::Else([Token::Word(next), rest @ ..])
                if kind != Kind::Range && self::kind(next) == Some(kind) =>
            {
                vec![self.block(kind, next, rest, depth + 1)?]
            }
            End::Else([]) => match self.list(depth + 1)? {
                (otherwise, End::Block) => otherwise,
                (_, End::Else(_)) => return Err(TemplateError::Unexpected("else".to_owned())),
                (_, End::Template) => return Err(no_end()),
            },
            End::Else(_) => return Err(TemplateError::Unexpected("else".to_owned())),
        };
        Ok(Node::Block { kind, pipeline, body, otherwise })
    }
}

fn kind(word: &str) -> Option<Kind> {
    match word {
        "if" => Some(Kind::If),
        "with" => Some(Kind::With),
        "range" => Some(Kind::Range),
        _ => None,
    }
}

type Tokens<'a> = Peekable<Iter<'a, Token>>;

fn pipeline(tokens: &[Token]) -> Result<Pipeline, TemplateError> {
    let mut tokens = tokens.iter().peekable();
    let pipeline = commands(&mut tokens, 0)?;
    match tokens.next() {
        None => Ok(pipeline),
        Some(token) => Err(unexpected(token)),
    }
}

/// As far as the end, or a closing bracket.
fn commands(tokens: &mut Tokens<'_>, depth: usize) -> Result<Pipeline, TemplateError> {
    if depth >= DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let (variables, declared) = variables(tokens);
    let mut commands = Vec::new();
    loop {
        let mut operands = Vec::new();
        while let Some(token) = tokens.next_if(|token| !ends(token)) {
            operands.push(operand(token, tokens, depth)?);
        }
        // A literal is no function: it has no arguments, nor is it one's result.
        let literal = matches!(operands.first(), Some(Operand::Literal(_) | Operand::Nil));
        if operands.is_empty() || literal && (operands.len() > 1 || !commands.is_empty()) {
            let next = tokens.peek().map_or_else(|| "}}".to_owned(), |token| text(token));
            return Err(TemplateError::Unexpected(next));
        }
        commands.push(operands);
        if tokens.next_if_eq(&&Token::Sign("|")).is_none() {
            return Ok(Pipeline { variables, declared, commands });
        }
    }
}

fn ends(token: &Token) -> bool {
    matches!(token, Token::Sign("|" | ")"))
}

/// `$x :=`, `$x =` or `$x, $y :=`, if there is one.
fn variables(tokens: &mut Tokens<'_>) -> (Vec<String>, bool) {
    let mut ahead = tokens.clone();
    let mut names = Vec::new();
    while let Some(Token::Variable(name)) = ahead.next() {
        names.push(name.clone());
        match ahead.next() {
            Some(Token::Sign(",")) if names.len() == 1 => {}
            Some(Token::Sign(sign @ (":=" | "="))) => {
                *tokens = ahead;
                return (names, *sign == ":=");
            }
            _ => break,
        }
    }
    (Vec::new(), false)
}

fn operand(token: &Token, tokens: &mut Tokens<'_>, depth: usize) -> Result<Operand, TemplateError> {
    let operand = match token {
        Token::Dot => Operand::Dot,
        Token::Fields { names, .. } => Operand::Fields(Box::new(Operand::Dot), names.clone()),
        Token::Variable(name) => Operand::Variable(name.clone()),
        Token::Literal(value) => Operand::Literal(value.clone()),
        Token::Word(word) => match word.as_str() {
            "nil" => Operand::Nil,
            "true" | "false" => Operand::Literal(Value::Bool(word == "true")),
            word => match word.parse() {
                Ok(function) => Operand::Function(function),
                Err(()) => return Err(TemplateError::Unsupported(word.to_owned())),
            },
        },
        Token::Sign("(") => {
            let inside = commands(tokens, depth + 1)?;
            if tokens.next() != Some(&Token::Sign(")")) || !inside.variables.is_empty() {
                return Err(TemplateError::Unexpected("(".to_owned()));
            }
            Operand::Group(inside)
        }
        other => return Err(unexpected(other)),
    };
    match tokens.peek() {
        Some(Token::Fields { names, joined: true })
            if matches!(operand, Operand::Variable(_) | Operand::Group(_)) =>
        {
            tokens.next();
            Ok(Operand::Fields(Box::new(operand), names.clone()))
        }
        _ => Ok(operand),
    }
}

fn unexpected(token: &Token) -> TemplateError {
    TemplateError::Unexpected(text(token))
}

fn text(token: &Token) -> String {
    match token {
        Token::Dot => ".".to_owned(),
        Token::Fields { names, .. } => format!(".{}", names.join(".")),
        Token::Variable(name) | Token::Word(name) => name.clone(),
        Token::Literal(value) => value.to_string(),
        Token::Sign(sign) => (*sign).to_owned(),
    }
}
