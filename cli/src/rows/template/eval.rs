//! Filling a template in.

use serde_json::{Map, Value};

use super::TemplateError;
use super::format::plain;
use super::functions::Function;
use super::parse::{Kind, Node, Operand, Pipeline};

/// How many nodes may be filled in: loops in loops over a large document have an end.
const STEPS: u32 = 1 << 20;

/// A value, or that there is none.
pub(super) type Found = Option<Value>;

/// What stands for the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Any field may be absent.
    Document,
    /// All fields are there.
    Row,
    /// Values are headings, which functions leave as they are.
    Headings,
}

/// How a list of nodes was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Continue,
    Break,
}

#[derive(Debug)]
pub(super) struct Evaluation<'a> {
    root: &'a Value,
    labels: Option<&'a Map<String, Value>>,
    mode: Mode,
    variables: Vec<(String, Found)>,
    text: String,
    steps: u32,
}

impl<'a> Evaluation<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        let variables = vec![("$".to_owned(), Some(root.clone()))];
        let (text, steps) = (String::new(), 0);
        Self { root, labels: None, mode: Mode::Document, variables, text, steps }
    }

    pub(super) fn of_row(root: &'a Value, labels: &'a Map<String, Value>) -> Self {
        Self { labels: Some(labels), mode: Mode::Row, ..Self::of(root) }
    }

    pub(super) fn of_headings(root: &'a Value) -> Self {
        Self { mode: Mode::Headings, ..Self::of(root) }
    }

    pub(super) fn run(mut self, nodes: &[Node]) -> Result<String, TemplateError> {
        let root = Some(self.root.clone());
        self.nodes(nodes, &root)?;
        Ok(self.text)
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Found) -> Result<Flow, TemplateError> {
        let known = self.variables.len();
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS {
                return Err(TemplateError::TooLong);
            }
            let flow = match node {
                Node::Text(text) => {
                    self.text.push_str(text);
                    Flow::Next
                }
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.text.push_str(&plain(value.as_ref()));
                    }
                    Flow::Next
                }
                Node::Block { kind, pipeline, body, otherwise } => {
                    let before = self.variables.len();
                    let flow = self.block(*kind, pipeline, [body, otherwise], dot)?;
                    self.variables.truncate(before);
                    flow
                }
                Node::Leave { goes_on: true } => Flow::Continue,
                Node::Leave { goes_on: false } => Flow::Break,
            };
            if flow != Flow::Next {
                self.variables.truncate(known);
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn block(
        &mut self,
        kind: Kind,
        pipeline: &Pipeline,
        [body, otherwise]: [&[Node]; 2],
        dot: &Found,
    ) -> Result<Flow, TemplateError> {
        if kind == Kind::Range {
            return self.range(pipeline, [body, otherwise], dot);
        }
        let value = self.pipeline(pipeline, dot)?;
        match (truth(value.as_ref()), kind) {
            (false, _) => self.nodes(otherwise, dot),
            (true, Kind::With) => self.nodes(body, &value),
            (true, _) => self.nodes(body, dot),
        }
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        [body, otherwise]: [&[Node]; 2],
        dot: &Found,
    ) -> Result<Flow, TemplateError> {
        let items: Vec<(Value, Value)> = match self.commands(pipeline, dot)? {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => {
                list.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()
            }
            Some(Value::Object(map)) => sorted(map),
            Some(_) if self.mode == Mode::Headings => Vec::new(),
            Some(other) => {
                let wrong = format!("{} is neither a list nor an object", plain(Some(&other)));
                return Err(TemplateError::Function("range", wrong));
            }
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            let known = self.variables.len();
            match pipeline.variables.as_slice() {
                [] => {}
                [value] => self.set(pipeline, value, Some(item.clone()))?,
                [index, value, ..] => {
                    self.set(pipeline, index, Some(key))?;
                    self.set(pipeline, value, Some(item.clone()))?;
                }
            }
            let flow = self.nodes(body, &Some(item))?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, by: &Pipeline, name: &str, value: Found) -> Result<(), TemplateError> {
        if by.declared {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let variable = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        let variable = variable.ok_or_else(|| TemplateError::NoVariable(name.to_owned()))?;
        variable.1 = value;
        Ok(())
    }

    /// The value of a pipeline, which its variable has too.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Found) -> Result<Found, TemplateError> {
        let value = self.commands(pipeline, dot)?;
        if let [name, ..] = pipeline.variables.as_slice() {
            self.set(pipeline, name, value.clone())?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Found) -> Result<Found, TemplateError> {
        let mut last: Option<Found> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last.take(), dot)?);
        }
        Ok(last.flatten())
    }

    /// A function with its arguments, or a value. `piped` is a further argument.
    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Found>,
        dot: &Found,
    ) -> Result<Found, TemplateError> {
        let Some((first, rest)) = command.split_first() else { return Ok(None) };
        match first {
            Operand::Function(function @ (Function::And | Function::Or)) => {
                self.first_that(*function == Function::Or, rest, piped, dot)
            }
            Operand::Function(function) => {
                let mut arguments = Vec::with_capacity(rest.len() + 1);
                for operand in rest {
                    arguments.push(self.operand(operand, dot)?);
                }
                arguments.extend(piped);
                if self.mode == Mode::Headings {
                    return Ok(arguments.into_iter().next().flatten());
                }
                function.apply(&arguments)
            }
            first if rest.is_empty() && piped.is_none() => self.operand(first, dot),
            Operand::Fields(_, names) if names.len() == 1 => {
                let name = match rest.first() {
                    Some(operand) => self.operand(operand, dot)?,
                    None => piped.flatten(),
                };
                self.method(&names.concat(), name)
            }
            _ => Err(TemplateError::Unexpected("an argument of what is no function".to_owned())),
        }
    }

    /// `.Label "name"` of rows.
    fn method(&self, name: &str, argument: Found) -> Result<Found, TemplateError> {
        match (name, argument, self.mode) {
            ("Label", Some(Value::String(label)), Mode::Headings) => {
                Ok(Some(Value::String(label.to_uppercase())))
            }
            ("Label", Some(Value::String(label)), Mode::Row) => {
                let value = self.labels.and_then(|labels| labels.get(&label)).cloned();
                Ok(Some(value.unwrap_or_else(|| Value::String(String::new()))))
            }
            _ => Err(TemplateError::Unsupported(format!(".{name} with an argument"))),
        }
    }

    /// `or` gives the first value that is true, `and` the first that is not, else the last.
    fn first_that(
        &mut self,
        wanted: bool,
        operands: &[Operand],
        piped: Option<Found>,
        dot: &Found,
    ) -> Result<Found, TemplateError> {
        let mut last = None;
        for operand in operands {
            last = self.operand(operand, dot)?;
            if truth(last.as_ref()) == wanted {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    fn operand(&mut self, operand: &Operand, dot: &Found) -> Result<Found, TemplateError> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(None),
            Operand::Literal(value) => Ok(Some(value.clone())),
            Operand::Function(function) => function.apply(&[]),
            Operand::Group(pipeline) => self.commands(pipeline, dot),
            Operand::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let missing = || TemplateError::NoVariable(name.clone());
                known.map(|(_, value)| value.clone()).ok_or_else(missing)
            }
            Operand::Fields(base, names) => {
                let mut value = self.operand(base, dot)?;
                for name in names {
                    value = self.field(value, name)?;
                }
                Ok(value)
            }
        }
    }

    fn field(&self, value: Found, name: &str) -> Result<Found, TemplateError> {
        let missing = || match self.mode {
            Mode::Document => Ok(None),
            Mode::Row => Err(TemplateError::NoField(name.to_owned())),
            Mode::Headings => Ok(Some(Value::String(name.to_uppercase()))),
        };
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(mut map)) => {
                map.remove(name).map_or_else(missing, |it| Ok(Some(it)))
            }
            Some(_) if self.mode == Mode::Headings => missing(),
            Some(other) => {
                let text = plain(Some(&other));
                Err(TemplateError::NoObject(name.to_owned(), text.chars().take(40).collect()))
            }
        }
    }
}

/// As Go goes through a map: by its keys.
fn sorted(map: Map<String, Value>) -> Vec<(Value, Value)> {
    let mut items: Vec<_> = map.into_iter().collect();
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    items.into_iter().map(|(key, value)| (Value::String(key), value)).collect()
}

/// What is empty, zero or absent is not true.
pub(super) fn truth(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}
