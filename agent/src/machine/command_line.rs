//! The kernel's command line, as far as it concerns the agent.

use std::{fs, io};

use agent_protocol::{AGENT_PORT, READY_PORT};

/// What the agent reads from the kernel's command line. Everything has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `bulkhead.port`: the vsock port to listen on.
    pub(crate) port: u32,
    /// `bulkhead.ready_port`: the host's vsock port to call when ready.
    pub(crate) ready_port: u32,
    /// `bulkhead.hostname`.
    pub(crate) hostname: String,
    /// What follows `--`: a command to run on the console, after which the machine powers off.
    pub(crate) command: Vec<String>,
    /// Options of ours that could not be understood, to complain about.
    pub(crate) mistakes: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: AGENT_PORT,
            ready_port: READY_PORT,
            hostname: "bulkhead".into(),
            command: Vec::new(),
            mistakes: Vec::new(),
        }
    }
}

impl Options {
    /// Reads `/proc/cmdline`.
    pub(crate) fn read() -> io::Result<Self> {
        let line = fs::read("/proc/cmdline")?;
        Ok(Self::parse(&String::from_utf8_lossy(&line)))
    }

    fn parse(line: &str) -> Self {
        let mut options = Self::default();
        let mut words = words(line).into_iter();
        for word in words.by_ref() {
            if word == "--" {
                break;
            }
            if let Some(option) = word.strip_prefix("bulkhead.") {
                options.set(option);
            }
        }
        options.command = words.collect();
        options
    }

    fn set(&mut self, option: &str) {
        let understood = match option.split_once('=') {
            Some(("port", value)) => value.parse().map(|port| self.port = port).is_ok(),
            Some(("ready_port", value)) => value.parse().map(|port| self.ready_port = port).is_ok(),
            Some(("hostname", value)) if !value.is_empty() => {
                value.clone_into(&mut self.hostname);
                true
            }
            _ => false,
        };
        if !understood {
            self.mistakes.push(option.to_owned());
        }
    }
}

/// Splits at spaces outside of double quotes, which are removed: what the kernel does for its own
/// parameters.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        if letter == '"' {
            quoted = !quoted;
            word.get_or_insert_default();
        } else if letter.is_ascii_whitespace() && !quoted {
            words.extend(word.take());
        } else {
            word.get_or_insert_default().push(letter);
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_our_options_gives_the_defaults() {
        assert_eq!(Options::parse("console=ttyS0 reboot=k panic=1\n"), Options::default());
    }

    #[test]
    fn our_options_are_read_and_mistakes_are_kept() {
        let line = "bulkhead.port=7 bulkhead.ready_port=x bulkhead.hostname=web bulkhead.colour=1";
        let options = Options::parse(line);
        assert_eq!((options.port, options.ready_port), (7, READY_PORT));
        assert_eq!(options.hostname, "web");
        assert_eq!(options.mistakes, ["ready_port=x", "colour=1"]);
    }

    #[test]
    fn what_follows_two_dashes_is_the_command() {
        let options =
            Options::parse("quiet -- sh -c \"echo  a b; exit 3\" -- \"\" bulkhead.port=9");
        let expected = ["sh", "-c", "echo  a b; exit 3", "--", "", "bulkhead.port=9"];
        assert_eq!(options.command, expected);
        assert_eq!(options.port, AGENT_PORT);
    }
}
