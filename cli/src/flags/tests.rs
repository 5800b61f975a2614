use clap::Parser;

use super::*;
use crate::Cli;

#[derive(Debug, Parser, PartialEq, Eq)]
struct Line {
    #[arg(short, long)]
    detach: bool,
    #[arg(short, long)]
    interactive: bool,
    #[arg(short, long)]
    tty: bool,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    env: Vec<String>,
    image: Option<String>,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

fn words(text: &str) -> Vec<OsString> {
    std::iter::once("bulkhead").chain(text.split_whitespace()).map(OsString::from).collect()
}

fn line(text: &str) -> Result<Line, clap::Error> {
    read(&words(text))
}

/// What `flags` turn on.
fn on(flags: &str) -> (bool, bool, bool) {
    let line = line(flags).unwrap();
    (line.detach, line.interactive, line.tty)
}

#[test]
fn flags_take_a_value_after_an_equals_sign_only() {
    assert_eq!(on("--detach=true --tty=false"), (true, false, false));
    assert_eq!(on("--detach=0 --interactive=T"), (false, true, false));
    let line = line("--detach false").unwrap();
    assert_eq!((line.detach, line.image.as_deref()), (true, Some("false")));
}

#[test]
fn short_flags_in_one_word_are_all_on_but_for_the_last_ones_value() {
    assert_eq!(on("-dit"), (true, true, true));
    assert_eq!(on("-it=false"), (false, true, false));
    assert_eq!(on("-d=true"), (true, false, false));
}

#[test]
fn last_of_a_flag_given_twice_counts() {
    assert_eq!(on("--detach --detach=false"), (false, false, false));
    let line = line("--name a --name b --env x --env y -d -d").unwrap();
    assert_eq!(line.name.as_deref(), Some("b"));
    assert_eq!((line.env, line.detach), (vec!["x".to_owned(), "y".to_owned()], true));
}

#[test]
fn what_is_neither_true_nor_false_is_refused_by_the_flags_name() {
    let error = line("--detach=maybe").unwrap_err().to_string();
    assert!(error.contains("--detach") && error.contains("maybe"), "{error}");
}

#[test]
fn words_after_the_first_are_left_alone() {
    let line = line("-i --name web --env=x sh --detach -t -- x").unwrap();
    assert_eq!((line.detach, line.interactive, line.tty), (false, true, false));
    assert_eq!((line.name.as_deref(), line.image.as_deref()), (Some("web"), Some("sh")));
    assert_eq!(line.words, ["--detach", "-t", "--", "x"]);
}

#[test]
fn every_flag_of_every_command_can_be_turned_off() {
    fn plain(command: &Command, found: &mut Vec<String>) {
        let flags = command.get_arguments().filter(|arg| {
            matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count)
        });
        found.extend(flags.map(|arg| format!("{} --{}", command.get_name(), arg.get_id())));
        command.get_subcommands().for_each(|sub| plain(sub, found));
    }
    let mut found = Vec::new();
    plain(&switchable(Cli::command()), &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn help_shows_flags_without_the_value_that_nobody_gives() {
    for arguments in ["run --help", "container run --rm=true --help", "network ls -h"] {
        let Err(error) = read::<Cli>(&words(arguments)) else { panic!("{arguments}: no help") };
        let help = error.to_string();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp);
        assert!(help.contains("Usage: bulkhead"), "{help}");
        assert!(help.contains("--quiet") && !help.contains("--quiet["), "{help}");
    }
}

/// Where the fence stands among `arguments`.
fn fence(arguments: &str) -> Option<usize> {
    let words = words(arguments);
    let fenced = fenced(&switchable(Cli::command()), &words);
    (fenced.len() > words.len()).then(|| fenced.iter().position(|word| word == "--").unwrap())
}

#[test]
fn words_for_a_command_in_a_container_are_fenced_off() {
    assert_eq!(fence("run -it --name web alpine -v x"), Some(6));
    assert_eq!(fence("-H unix:///s container run -v a:b -itw /srv alpine --rm"), Some(10));
    assert_eq!(fence("exec --user 1 -d=false web ls -t"), Some(6));
    assert_eq!(fence("run --net none alpine --help"), Some(5));
    assert_eq!(fence("run alpine"), None);
    assert_eq!(fence("run -- alpine ls"), None);
    assert_eq!(fence("ps -a"), None);
    assert_eq!(fence("rm -f a b"), None);
}

/// The status for arguments that cannot be used.
fn refusal(arguments: &str) -> ExitCode {
    let words = words(arguments);
    let Err(error) = read::<Cli>(&words) else { panic!("{arguments}: can be used") };
    status(&error, &words[1..])
}

#[test]
fn wrong_flags_of_dockers_commands_end_with_125() {
    for arguments in ["run --no-such x", "ps -y", "-H unix:///s exec --tty=maybe a b"] {
        assert_eq!(refusal(arguments), ExitCode::from(125), "{arguments}");
    }
    for arguments in ["run", "exec web", "network create", "rename a b c"] {
        assert_eq!(refusal(arguments), ExitCode::from(1), "{arguments}");
    }
    for arguments in ["vm run --no-such", "doctor --no-such"] {
        assert_eq!(refusal(arguments), ExitCode::from(2), "{arguments}");
    }
    assert_eq!(refusal("run --help"), ExitCode::SUCCESS);
}
