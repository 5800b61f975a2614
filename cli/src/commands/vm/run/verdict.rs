//! What a session's end means for the user: an exit status, and a message where something is
//! wrong.

use std::path::Path;

use vm_spec::MachineEnd;

use crate::host::exec;
use crate::host::signals;
use crate::output;
use launch::Ended;

/// How much of a console that nobody saw is shown when a command could not be run.
const TAIL_LINES: usize = 40;

/// All that is known once the monitor has ended.
pub(super) struct Facts<'a> {
    pub(super) ended: Ended,
    pub(super) has_command: bool,
    /// The command's exit status, if it ran to its end.
    pub(super) status: Option<u8>,
    /// Why the command did not.
    pub(super) failure: Option<&'a anyhow::Error>,
    /// The signal that asked this process to end.
    pub(super) signal: Option<i32>,
    pub(super) log: &'a Path,
}

/// What to say and how to exit.
pub(super) struct Verdict {
    pub(super) status: u8,
    pub(super) message: Option<anyhow::Error>,
}

impl Facts<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let silent = |status| Verdict { status, message: None };
        if let Some(status) = self.status {
            return silent(status);
        }
        if let Some(number) = self.signal {
            return silent(signals::exit_status(number));
        }
        let described = || anyhow::anyhow!(self.ended.describe(self.log));
        let machine_status = self.ended.exit_status();
        match (self.has_command, self.ended) {
            (false, Ended::Machine(MachineEnd::PowerOff | MachineEnd::PowerButton)) => {
                silent(machine_status)
            }
            (false, _) | (true, Ended::Failed(_)) => {
                Verdict { status: machine_status, message: Some(described()) }
            }
            (true, ended) => match self.failure {
                // Ended by us, because of the failure.
                Some(failure) if ended == Ended::Machine(MachineEnd::Stopped) => Verdict {
                    status: exec::failure_status(failure),
                    message: Some(anyhow::anyhow!(output::chain(failure))),
                },
                _ => Verdict {
                    // Nothing but the command's own success is a success.
                    status: if machine_status == 0 { 125 } else { machine_status },
                    message: Some(described().context("the command did not run to its end")),
                },
            },
        }
    }
}

/// The last lines of a console, without what a terminal would take as a command.
pub(super) fn tail(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let clean: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let lines: Vec<&str> = clean.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(ended: Ended) -> Facts<'static> {
        Facts {
            ended,
            has_command: true,
            status: None,
            failure: None,
            signal: None,
            log: Path::new("/nonexistent"),
        }
    }

    fn said(verdict: Verdict) -> (u8, String) {
        let message = verdict.message.map(|m| format!("{m:#}")).unwrap_or_default();
        (verdict.status, message)
    }

    #[test]
    fn status_of_the_command_counts_before_the_end_of_the_machine() {
        let ended = Ended::Machine(MachineEnd::Panic);
        let verdict = Facts { status: Some(3), signal: Some(2), ..facts(ended) }.verdict();
        assert_eq!(said(verdict), (3, String::new()));
    }

    #[test]
    fn machine_that_powers_off_before_the_command_ends_is_no_success() {
        let verdict = facts(Ended::Machine(MachineEnd::PowerOff)).verdict();
        let text = "the command did not run to its end: the guest powered off";
        assert_eq!(said(verdict), (125, text.to_owned()));
    }

    #[test]
    fn panic_under_a_command_has_its_own_status() {
        let failure = anyhow::anyhow!("connection lost");
        let ended = Ended::Machine(MachineEnd::Panic);
        let verdict = Facts { failure: Some(&failure), ..facts(ended) }.verdict();
        let text = "the command did not run to its end: the guest had a kernel panic";
        assert_eq!(said(verdict), (102, text.to_owned()));
    }

    #[test]
    fn agent_that_never_calls_is_the_reason_and_not_the_end_that_follows() {
        let failure = anyhow::anyhow!("no call").context("the agent did not call");
        let ended = Ended::Machine(MachineEnd::Stopped);
        let verdict = Facts { failure: Some(&failure), ..facts(ended) }.verdict();
        assert_eq!(said(verdict), (125, "the agent did not call: no call".to_owned()));
    }

    #[test]
    fn console_is_left_by_power_off_without_a_word_and_by_panic_with_one() {
        let console = |end| Facts { has_command: false, ..facts(Ended::Machine(end)) };
        assert_eq!(said(console(MachineEnd::PowerOff).verdict()), (0, String::new()));
        assert_eq!(said(console(MachineEnd::PowerButton).verdict()), (101, String::new()));
        let text = "the guest had a kernel panic".to_owned();
        assert_eq!(said(console(MachineEnd::Panic).verdict()), (102, text));
    }

    #[test]
    fn signal_to_this_process_is_its_status() {
        let ended = Ended::Machine(MachineEnd::Stopped);
        let verdict = Facts { signal: Some(15), ..facts(ended) }.verdict();
        assert_eq!(said(verdict), (143, String::new()));
    }

    #[test]
    fn tail_is_the_last_lines_without_control_characters() {
        let console: String = (0..50).map(|n| format!("\x1b[1mline {n}\r\n")).collect();
        let tail = tail(console.as_bytes());
        assert!(tail.starts_with("[1mline 10\n") && tail.ends_with("line 49"), "{tail}");
    }
}
