//! Arguments as Docker's command line takes them: every flag that is on or off takes `=BOOL`
//! (`--rm=true`, `-d=false`), of a flag given twice the last one counts, and what follows an image
//! or a container belongs to the command there, even if it looks like a flag.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

/// The status of a wrong flag where Docker has the same command.
const WRONG_FLAG: u8 = 125;

/// Commands that Docker does not have: a wrong flag ends them with 2, as is usual.
const OWN: [&str; 6] = ["vm", "doctor", "completions", "man", "engine", "pod"];

/// The arguments of this process.
///
/// # Errors
///
/// There is nothing to carry out: help was asked for and printed, or something was wrong, which
/// has been said. This process ends with the given status.
pub(crate) fn parse<C: CommandFactory + FromArgMatches>() -> Result<C, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    read(&words).map_err(|error| {
        let status = status(&error, words.get(1..).unwrap_or_default());
        // Standard output and error may be closed; there is nobody to tell then.
        let _ = error.print();
        status
    })
}

fn read<C: CommandFactory + FromArgMatches>(words: &[OsString]) -> Result<C, clap::Error> {
    let mut command = switchable(C::command());
    let words = &fenced(&command, words);
    let matches = match command.try_get_matches_from_mut(words) {
        // In help, flags are to look as they are mostly used.
        Err(error) if asks_for_help(&error) => {
            let mut plain = C::command();
            plain.build();
            let long = words.iter().any(|word| word == "--help");
            with_help_of(switchable(C::command()), &plain, long).try_get_matches_from(words)?
        }
        matches => matches?,
    };
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// `words` with `--` before those that belong to a command elsewhere (`run IMAGE -- -t`): otherwise
/// clap would take the first of them for a flag if there is one of that name.
fn fenced(command: &Command, words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    let mut command = command;
    let (mut at, mut given) = (1, 0);
    while let Some(word) = words.get(at) {
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            break;
        }
        at += 1;
        if text.starts_with('-') && text != "-" {
            at += usize::from(takes_the_next(command, text));
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        } else {
            given += 1;
        }
        let elsewhere = command.get_positionals().position(Arg::is_trailing_var_arg_set);
        if elsewhere == Some(given) && given > 0 {
            if at < words.len() {
                words.insert(at, "--".into());
            }
            break;
        }
    }
    words
}

/// Whether the value of a flag is the word after it.
fn takes_the_next(command: &Command, word: &str) -> bool {
    let with_value = |arg: &Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
    if let Some(name) = word.strip_prefix("--") {
        let named = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|others| others.contains(&name))
        };
        return command.get_arguments().find(named).is_some_and(with_value);
    }
    let mut letters = word.chars().skip(1).take_while(|letter| *letter != '=');
    while let Some(letter) = letters.next() {
        let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter));
        if arg.is_some_and(with_value) {
            return letters.next().is_none();
        }
    }
    false
}

fn asks_for_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// `command` with flags that take a value, its subcommands too.
fn switchable(command: Command) -> Command {
    command.args_override_self(true).mut_args(switch).mut_subcommands(switchable)
}

fn switch(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .value_parser(boolean)
        .value_name("BOOL")
}

/// On or off, in all the ways that Go's `strconv.ParseBool` takes.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// `command` with the help of `plain`, which is the same command but for its flags.
fn with_help_of(command: Command, plain: &Command, long: bool) -> Command {
    let mut shown = plain.clone();
    let help = if long { shown.render_long_help() } else { shown.render_help() };
    command.override_help(help).mut_subcommands(|sub| {
        let name = sub.get_name().to_owned();
        match plain.find_subcommand(&name) {
            Some(plain) => with_help_of(sub, plain, long),
            None => sub,
        }
    })
}

/// The exit status for arguments that nothing can be done with.
fn status(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let own = verb(words).is_none_or(|verb| OWN.iter().any(|own| verb == *own));
    if own {
        return ExitCode::from(2);
    }
    // As Docker has it: flags are refused with a status of their own, and words that are missing
    // or too many are a failure like others.
    let of_a_flag = |kind| error.get(kind).is_some_and(|value| value.to_string().starts_with('-'));
    match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::FAILURE,
        ErrorKind::UnknownArgument if !of_a_flag(ContextKind::InvalidArg) => ExitCode::FAILURE,
        _ => ExitCode::from(WRONG_FLAG),
    }
}

/// The first word that is no flag of the program itself.
fn verb(words: &[OsString]) -> Option<&OsStr> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-H" | "--host") => drop(words.next()),
            Some(text) if text.starts_with('-') => {}
            _ => return Some(word),
        }
    }
    None
}

#[cfg(test)]
mod tests;
