//! `lab-host`: what `scripts/lab` runs. See there for the user's view.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab_machine::host::client::{self, EXIT_LAB_FAILED, End, Job};
use lab_machine::host::machine::Lab;
use lab_machine::host::qemu::{Image, Size};
use lab_machine::host::record::Record;

/// A lab that was left open ends after this long without use.
const OPEN_IDLE_SECONDS: u64 = 1800;
/// One made for a single command, when its client was killed.
const SINGLE_IDLE_SECONDS: u64 = 10;

const USAGE: &str = "usage: lab-host up|down|status|console
       lab-host exec|run [--timeout SECONDS] [--no-stdin] [--] COMMAND [ARGUMENT]...";

fn main() {
    let code = run().unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        EXIT_LAB_FAILED
    });
    std::process::exit(code)
}

fn run() -> Result<i32> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().context(USAGE)?;
    let rest: Vec<_> = arguments.collect();
    let lab = Lab { folder: folder_from_environment("BULKHEAD_LAB_DIR")? };
    match command.to_str() {
        Some("up") => up(&lab),
        Some("down") => down(&lab),
        Some("status") => status(&lab),
        Some("console") => show_console(&lab),
        Some("exec") => exec_open(&lab, &parse_job(rest, OPEN_IDLE_SECONDS)?),
        Some("run") => run_alone(&lab, &parse_job(rest, SINGLE_IDLE_SECONDS)?),
        _ => bail!(USAGE),
    }
}

fn up(lab: &Lab) -> Result<i32> {
    let record = start(lab)?;
    let probe = Job {
        arguments: vec!["true".into()],
        timeout: Some(Duration::from_secs(60)),
        stdin: false,
        idle_seconds: OPEN_IDLE_SECONDS,
    };
    match client::run(&record, &probe, &lab.console())? {
        End::Exited(0) => Ok(0),
        end => {
            lab.down()?;
            bail!("the lab started but runs no command: {end:?}")
        }
    }
}

fn start(lab: &Lab) -> Result<Record> {
    let image = Image(folder_from_environment("BULKHEAD_LAB_IMAGE")?);
    lab.up(&image, size()?)
}

fn down(lab: &Lab) -> Result<i32> {
    if !lab.down()? {
        say("no lab is up");
    }
    Ok(0)
}

fn status(lab: &Lab) -> Result<i32> {
    let mut stdout = std::io::stdout();
    match lab.running()? {
        Some(record) => writeln!(stdout, "up: process {}, port {}", record.pid, record.port)?,
        None => {
            writeln!(stdout, "down")?;
            return Ok(1);
        }
    }
    Ok(0)
}

fn show_console(lab: &Lab) -> Result<i32> {
    let text = std::fs::read(lab.console()).context("Failed to read the console")?;
    std::io::stdout().write_all(&text)?;
    Ok(0)
}

fn exec_open(lab: &Lab, job: &Job) -> Result<i32> {
    let record = lab.running()?.context("no lab is up")?;
    finish(lab, client::run(&record, job, &lab.console())?)
}

/// A lab of the command's own.
fn run_alone(lab: &Lab, job: &Job) -> Result<i32> {
    let own = Lab { folder: lab.folder.join(format!("run-{}", std::process::id())) };
    lab_machine::host::record::private_folder(&lab.folder)?;
    let ended = start(&own).and_then(|record| client::run(&record, job, &own.console()));
    own.down()?;
    let code = finish(&own, ended?);
    std::fs::remove_dir_all(&own.folder)?;
    code
}

fn finish(lab: &Lab, end: End) -> Result<i32> {
    match end {
        End::Exited(code) | End::CutOff(code) => Ok(code),
        End::LabLost => {
            lab.down()?;
            Ok(EXIT_LAB_FAILED)
        }
    }
}

fn parse_job(arguments: Vec<OsString>, idle_seconds: u64) -> Result<Job> {
    let mut job = Job { arguments: Vec::new(), timeout: None, stdin: true, idle_seconds };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--timeout") => {
                let value = arguments.next().context("--timeout needs seconds")?;
                let seconds = value.to_string_lossy().parse();
                job.timeout = Some(Duration::from_secs(
                    seconds.context("--timeout needs a number of seconds")?,
                ));
            }
            Some("--no-stdin") => job.stdin = false,
            Some("--") => {
                job.arguments = arguments.by_ref().collect();
            }
            Some(option) if option.starts_with("--") => bail!("unknown option {option}\n{USAGE}"),
            _ => {
                job.arguments = std::iter::once(argument).chain(arguments.by_ref()).collect();
            }
        }
    }
    if job.arguments.is_empty() {
        bail!(USAGE);
    }
    Ok(job)
}

fn size() -> Result<Size> {
    let number = |name: &str| -> Result<Option<u64>> {
        let Some(value) = std::env::var_os(name) else {
            return Ok(None);
        };
        let parsed = value.to_string_lossy().parse();
        parsed.map(Some).with_context(|| format!("{name} is no number"))
    };
    Ok(Size {
        memory: number("BULKHEAD_LAB_MEMORY")?.unwrap_or(8192),
        cpus: u32::try_from(number("BULKHEAD_LAB_CPUS")?.unwrap_or(2))?,
    })
}

fn folder_from_environment(name: &str) -> Result<PathBuf> {
    let value = std::env::var_os(name).with_context(|| format!("{name} is not set"))?;
    Ok(value.into())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "lab: {text}");
}
