//! `bulkhead doctor`: what this host can run, and what to do where it cannot.

pub(crate) mod kvm;
mod system;

use std::io::IsTerminal;
use std::process::ExitCode;

use api::probe::Probe;
use serde::Serialize;

use crate::host::monitor;
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Exit status: 0 if machines can run here, 1 if not.

Example:
  bulkhead doctor --format json | jq '.findings[] | select(.status != \"ok\")'";

/// How to print the findings.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// How a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// Something is missing that not everybody needs.
    Warning,
    /// Machines cannot run.
    Problem,
}

/// What one check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Stable name, for programs.
    id: &'static str,
    status: Status,
    /// What was found.
    summary: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(id: &'static str, summary: impl Into<String>) -> Self {
        Self { id, status: Status::Ok, summary: summary.into(), advice: None }
    }

    fn warning(id: &'static str, summary: impl Into<String>, advice: impl Into<String>) -> Self {
        let (summary, advice) = (summary.into(), Some(advice.into()));
        Self { id, status: Status::Warning, summary, advice }
    }

    fn problem(id: &'static str, summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Problem, ..Self::warning(id, summary, advice) }
    }
}

#[derive(Serialize)]
struct Report {
    status: Status,
    findings: Vec<Finding>,
    /// What the monitor saw of KVM.
    probe: Option<Probe>,
}

/// Exits with 1 when machines cannot run here.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let probe = monitor::probe();
    let mut findings = kvm::check(probe.as_ref().ok());
    findings.push(monitor_program(probe.as_ref().err()));
    findings.extend(system::check());
    let status = findings.iter().map(|f| f.status).max().unwrap_or(Status::Ok);
    match args.format {
        Format::Json => output::json(&Report { status, findings, probe: probe.ok() })?,
        Format::Table => print(&findings)?,
    }
    Ok(if status == Status::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn monitor_program(failure: Option<&anyhow::Error>) -> Finding {
    let program = launch::program().display().to_string();
    match (monitor::version(), failure) {
        (Ok(version), None) => Finding::ok("monitor", format!("{program} is {version}")),
        (Ok(version), Some(error)) => Finding::problem(
            "monitor",
            format!("{program} is {version}, but could not look at KVM: {error:#}"),
            "Set BULKHEAD_VMM to the path of a bulkhead-vmm of this version",
        ),
        (Err(error), _) => Finding::problem(
            "monitor",
            format!("{error:#}"),
            "Install bulkhead-vmm beside bulkhead, or set BULKHEAD_VMM to its path",
        ),
    }
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for finding in findings {
        let (mark, code) = match finding.status {
            Status::Ok => ("ok     ", "32"),
            Status::Warning => ("warning", "33"),
            Status::Problem => ("problem", "31"),
        };
        let mark = if colour { format!("\x1b[{code}m{mark}\x1b[0m") } else { mark.to_owned() };
        output::line(&format!("{mark}  {:<16} {}", finding.id, finding.summary))?;
        if let Some(advice) = &finding.advice {
            output::line(&format!("{:26} {advice}", ""))?;
        }
    }
    Ok(())
}
