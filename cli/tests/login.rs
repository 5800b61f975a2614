//! `bulkhead login` and `logout`, on a terminal and without one.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use answers::{Asked, Engine, text};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A registry that knows one password.
fn answer(asked: &Asked) -> (u16, String) {
    if asked.body.contains(r#""password":"secret""#) {
        (200, r#"{"Status":"Login Succeeded","IdentityToken":""}"#.to_owned())
    } else {
        (401, r#"{"message":"unauthorized: incorrect username or password"}"#.to_owned())
    }
}

/// A terminal and the program at it.
struct Session {
    keyboard: File,
    terminal: File,
    child: Child,
    shown: String,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        // Of a session without a terminal none becomes its controlling one by this.
        let terminal = File::options().read(true).write(true).open(path).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { keyboard: keyboard.into(), terminal, child, shown: String::new() }
    }

    /// Waits until `words` are shown.
    fn sees(&mut self, words: &str) {
        let mut byte = [0; 256];
        while !self.shown.contains(words) {
            let length = self.keyboard.read(&mut byte).unwrap();
            self.shown.push_str(&text(&byte[..length]));
        }
    }

    fn types(&mut self, words: &str) {
        self.keyboard.write_all(words.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

#[test]
fn name_and_password_are_asked_for_and_the_password_is_not_shown() {
    let engine = Engine::answering(answer).unwrap();
    let mut session = Session::start(engine.command(&["login", "registry.test"]));
    session.sees("Username: ");
    session.types("me\n");
    session.sees("Password: ");
    assert!(!session.echoes());
    session.types("secret\n");
    session.sees("Login Succeeded");
    assert!(session.child.wait().unwrap().success());
    assert!(session.shown.contains("me\r\n") && !session.shown.contains("secret"));
    assert!(session.shown.contains("stored unencrypted in"), "{}", session.shown);
    assert!(session.echoes());
    let body = &engine.asked()[0].body;
    assert!(
        body.contains(r#""username":"me""#) && body.contains(r#""serveraddress":"registry.test""#)
    );
    assert!(engine.docker_config().contains("bWU6c2VjcmV0"), "{}", engine.docker_config());
}

#[test]
fn terminal_shows_again_what_is_typed_when_a_login_is_broken_off() {
    let engine = Engine::answering(answer).unwrap();
    let mut session = Session::start(engine.command(&["login", "-u", "me"]));
    session.sees("Password: ");
    assert!(!session.echoes());
    kill_process(Pid::from_child(&session.child), Signal::INT).unwrap();
    assert_eq!(session.child.wait().unwrap().code(), Some(130));
    assert!(session.echoes());
    assert!(engine.asked().is_empty());
}

#[test]
fn nothing_typed_is_no_password() {
    let engine = Engine::answering(answer).unwrap();
    let mut session = Session::start(engine.command(&["login", "-u", "me"]));
    session.sees("Password: ");
    session.types("\n");
    session.sees("password is required");
    assert_eq!(session.child.wait().unwrap().code(), Some(1));
    assert!(engine.asked().is_empty());
}

/// What a login without a terminal says, whose standard input has `input`.
fn without_terminal(engine: &Engine, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = engine.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn without_a_terminal_nothing_is_asked_for() {
    let engine = Engine::answering(answer).unwrap();
    for (arguments, words) in [
        (&["login"][..], "Cannot perform an interactive login from a non TTY device"),
        (&["login", "-u", "me"], "--password-stdin"),
        (&["login", "-p", "x"], "Using --password via the CLI is insecure"),
        (&["login", "--password-stdin"], "--password-stdin option requires --username"),
        (&["login", "-u", "me", "-p", "x", "--password-stdin"], "cannot specify both"),
        (&["login", "-u", "me", "--password-stdin"], "password is required"),
    ] {
        let (status, said) = without_terminal(&engine, arguments, "");
        assert_eq!(status, Some(1), "{arguments:?}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(engine.asked().is_empty());
}

#[test]
fn password_of_standard_input_is_kept_used_again_and_forgotten() {
    let engine = Engine::answering(answer).unwrap();
    let login = ["login", "-u", "me", "--password-stdin", "https://registry.test/v2/"];
    let (status, said) = without_terminal(&engine, &login, "wrong\n");
    assert_eq!(status, Some(1));
    assert!(said.contains("incorrect username or password"), "{said}");
    assert_eq!(engine.docker_config(), "");
    let (status, said) = without_terminal(&engine, &login, "secret\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(engine.docker_config().contains("\"registry.test\""));
    let (status, said) = without_terminal(&engine, &["login", "registry.test"], "");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("existing credentials"), "{said}");
    let (_, said) = without_terminal(&engine, &["logout", "registry.test"], "");
    assert_eq!(said, "Removing login credentials for registry.test\n");
    assert!(!engine.docker_config().contains("registry.test"));
    let (status, _) = without_terminal(&engine, &["login", "registry.test"], "");
    assert_eq!(status, Some(1));
}
