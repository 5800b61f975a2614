//! The processes of a container, in the columns that options of ps(1) ask for.

use agent_protocol::message::{ContainerRef, Process, Processes, Reply, Request};
use bollard_stubs::models::ContainerTopResponse;

use super::live::Container;
use super::{ContainerError, moment};
use crate::agent::{AgentError, at_once};
use crate::http::error::chain;

/// Docker's options where the client gives none.
const DEFAULT: &str = "-ef";
/// The columns of `ps -ef`, of `ps -e` alone, and of `ps aux`.
const FULL: &str = "user=UID,pid,ppid,c,stime,tty,time,cmd";
const SHORT: &str = "pid,tty,time,comm=CMD";
const OF_USERS: &str = "user,pid,%cpu,rss,tty,start,time,args=COMMAND";

/// A column: its title, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    title: String,
    field: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    User,
    Uid,
    Pid,
    Parent,
    Share,
    Percent,
    Resident,
    Started,
    Elapsed,
    Terminal,
    Time,
    Name,
    Command,
}

impl Field {
    /// By the words of `ps -o`, with the title that ps gives it.
    fn of(word: &str) -> Option<(Self, &'static str)> {
        Some(match word {
            "user" | "euser" | "uname" => (Self::User, "USER"),
            "uid" | "euid" => (Self::Uid, "UID"),
            "pid" | "tgid" => (Self::Pid, "PID"),
            "ppid" => (Self::Parent, "PPID"),
            "c" => (Self::Share, "C"),
            "%cpu" | "pcpu" => (Self::Percent, "%CPU"),
            "rss" | "rssize" | "rsz" => (Self::Resident, "RSS"),
            "stime" => (Self::Started, "STIME"),
            "start" | "start_time" | "bsdstart" => (Self::Started, "START"),
            "etime" => (Self::Elapsed, "ELAPSED"),
            "tty" | "tt" | "tname" => (Self::Terminal, "TTY"),
            "time" | "cputime" => (Self::Time, "TIME"),
            "comm" | "ucmd" | "ucomm" => (Self::Name, "COMMAND"),
            "cmd" => (Self::Command, "CMD"),
            "args" | "command" => (Self::Command, "COMMAND"),
            _ => return None,
        })
    }

    fn text(self, process: &Process) -> String {
        let started = moment::from_nanos(process.started_ns);
        let lived = (moment::now() - started).whole_milliseconds();
        let lived = u64::try_from(lived).unwrap_or(0).max(1);
        // Thousandths of a processor.
        let share = (process.cpu_ns / 1000).saturating_div(lived);
        match self {
            Self::User => process.user.clone(),
            Self::Uid => process.uid.to_string(),
            Self::Pid => process.pid.to_string(),
            Self::Parent => process.parent.to_string(),
            Self::Share => (share / 10).min(99).to_string(),
            Self::Percent => format!("{}.{}", share / 10, share % 10),
            Self::Resident => (process.resident / 1024).to_string(),
            Self::Started => format!("{:02}:{:02}", started.hour(), started.minute()),
            Self::Elapsed => elapsed(lived / 1000),
            Self::Terminal if process.terminal.is_empty() => "?".to_owned(),
            Self::Terminal => process.terminal.clone(),
            Self::Time => clock(process.cpu_ns / 1_000_000_000),
            Self::Name => process.name.clone(),
            Self::Command => process.command.clone(),
        }
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// As ps shows it: `[[DAYS-]HOURS:]MINUTES:SECONDS`.
fn elapsed(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        3600..86400 => clock(seconds),
        _ => format!("{}-{}", seconds / 86400, clock(seconds % 86400)),
    }
}

/// The columns that options ask for. Which processes they choose does not matter: all of the
/// container are shown.
fn columns(options: &str) -> Result<Vec<Column>, ContainerError> {
    let options = if options.trim().is_empty() { DEFAULT } else { options };
    let (mut listed, mut preset) = (Vec::new(), SHORT);
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let letters = word.strip_prefix('-').unwrap_or(word);
        let (flags, list) = match letters.find(['o', 'O']) {
            Some(at) => letters.split_at(at),
            None => (letters, ""),
        };
        for flag in flags.chars() {
            match flag {
                'f' => preset = FULL,
                'u' => preset = OF_USERS,
                'a' | 'A' | 'e' | 'x' | 'w' => {}
                _ => return Err(unknown(word)),
            }
        }
        if let Some(rest) = list.strip_prefix('o') {
            let list = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
            listed.extend(read_list(list)?);
        } else if !list.is_empty() {
            return Err(unknown(word));
        }
    }
    if listed.is_empty() { read_list(preset) } else { Ok(listed) }
}

/// `pid,comm=NAME`.
fn read_list(list: &str) -> Result<Vec<Column>, ContainerError> {
    let words = list.split(',').filter(|word| !word.is_empty());
    let columns = words.map(|word| {
        let (name, given) = word.split_once('=').unwrap_or((word, ""));
        let (field, title) = Field::of(name).ok_or_else(|| unknown(name))?;
        let title = if given.is_empty() { title } else { given };
        Ok(Column { title: title.to_owned(), field })
    });
    columns.collect()
}

fn unknown(word: &str) -> ContainerError {
    let text = format!(
        "ps: {word:?} is not supported by this engine: it reads the container's processes itself, \
         and knows -e, -f, a, u, x and -o with columns such as pid,user,comm,args,time,rss"
    );
    ContainerError::Invalid(text)
}

impl Container {
    /// Its processes as a table of the columns that `options` of ps ask for.
    pub async fn top(&self, options: &str) -> Result<ContainerTopResponse, ContainerError> {
        let columns = columns(options)?;
        if !columns.iter().any(|column| column.field == Field::Pid) {
            let text = "Couldn't find PID field in ps output";
            return Err(ContainerError::Invalid(text.to_owned()));
        }
        let agent = self.running()?.machine.agent();
        let id = ContainerRef { id: self.id.clone() };
        let reply = at_once(agent.request(Request::ListProcesses(id))).await;
        match reply.map_err(|error| ContainerError::Machine(chain(&error)))? {
            Reply::Processes(Processes { processes }) => {
                self.emit("top", &[]);
                Ok(table(&columns, &processes))
            }
            _ => Err(ContainerError::Machine(AgentError::Unexpected.to_string())),
        }
    }
}

fn table(columns: &[Column], processes: &[Process]) -> ContainerTopResponse {
    let row = |process| columns.iter().map(|column| column.field.text(process)).collect();
    ContainerTopResponse {
        titles: Some(columns.iter().map(|column| column.title.clone()).collect()),
        processes: Some(processes.iter().map(row).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: &str) -> (String, String) {
        let process = Process {
            pid: 7,
            parent: 1,
            user: "web".into(),
            uid: 33,
            cpu_ns: 3_661_000_000_000,
            command: "/bin/serve --fast".into(),
            name: "serve".into(),
            resident: 8192,
            ..Process::default()
        };
        let table = table(&columns(options).unwrap(), &[process]);
        let row = table.processes.unwrap().remove(0);
        (table.titles.unwrap().join(" "), row.join(" "))
    }

    #[test]
    fn without_options_it_is_a_full_list() {
        let (titles, row) = shown("");
        assert_eq!(titles, "UID PID PPID C STIME TTY TIME CMD");
        assert!(row.starts_with("web 7 1 0 00:00 ? 01:01:01 /bin/serve --fast"), "{row}");
        assert_eq!(shown("-ef"), (titles, row));
    }

    #[test]
    fn columns_are_those_that_were_asked_for() {
        let pair = |titles: &str, row: &str| (titles.to_owned(), row.to_owned());
        assert_eq!(shown("-o pid,comm"), pair("PID COMMAND", "7 serve"));
        assert_eq!(shown("-eo pid=,uid -o rss"), pair("PID UID RSS", "7 33 8"));
        assert_eq!(shown("-eopid,args=WHAT"), pair("PID WHAT", "7 /bin/serve --fast"));
        assert_eq!(shown("-e").0, "PID TTY TIME CMD");
        assert!(shown("aux").0.starts_with("USER PID %CPU "));
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (options, named) in [("-o pid,wchan", "\"wchan\""), ("--forest", "\"--forest\"")] {
            let error = columns(options).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn time_since_the_start_grows_to_days() {
        assert_eq!(elapsed(61), "01:01");
        assert_eq!(elapsed(3661), "01:01:01");
        assert_eq!(elapsed(90_061), "1-01:01:01");
    }
}
