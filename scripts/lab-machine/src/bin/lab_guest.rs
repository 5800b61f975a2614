//! The lab's server: `lab-guest serve PORT TOKEN-FILE READY-PORT`, and the
//! inner half of a session, `lab-guest session CGROUP DIRECTORY PROGRAM [ARGUMENT]…`.

use std::process::ExitCode;

use anyhow::bail;
use lab_machine::guest::{server, session};

fn main() -> ExitCode {
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "lab: {error:#}");
            ExitCode::from(session::EXIT_CANNOT_RUN)
        }
    }
}

fn run() -> anyhow::Result<std::convert::Infallible> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [command, port, token, ready] if command == "serve" => {
            let port = port.to_string_lossy().parse()?;
            server::serve(port, token.as_ref(), ready.as_ref())
        }
        [command, cgroup, directory, argv @ ..] if command == "session" => {
            session::enter_and_run(cgroup.as_ref(), directory.as_ref(), argv)
        }
        _ => bail!("usage: lab-guest serve PORT TOKEN-FILE READY-PORT"),
    }
}
