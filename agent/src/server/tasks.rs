//! Children at work: what they say, and what becomes of them.

use std::os::fd::OwnedFd;

use agent_protocol::message::{Done, FailureKind, Reply};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Server, describe_start, inline::outputs_of};
use crate::{
    child::{Child, Received},
    container::Asked,
    failure::failure,
    reactor::{Side, Token},
    session::{Tie, streams::Streams},
};

/// What a child is for.
pub(super) enum Purpose {
    /// To become a command.
    Command { streams: Streams, tie: Tie, inline: u32 },
    /// To make a container and become its first process.
    First { container: String },
    /// To answer a request.
    Answer,
    /// To read or write files for a request, which is answered when it is about to begin.
    Files { streams: Streams },
    /// To write a container's changes out and let go of its file systems.
    Release,
}

/// A child that has not ended or become a program yet.
pub(super) struct Task {
    child: Child,
    /// Who is to be answered; `None` once that has been done.
    asked: Option<Asked>,
    purpose: Purpose,
}

impl Task {
    /// Whether a container's changes are being written out.
    pub(super) fn is_release(&self) -> bool {
        matches!(self.purpose, Purpose::Release)
    }
}

impl Server {
    /// Listens to a child from now on.
    pub(super) fn add_task(&mut self, child: Child, asked: Option<Asked>, purpose: Purpose) {
        let token = self.reactor.token();
        if let Err(error) = self.reactor.watch(&child.channel, token, Side::Source) {
            crate::say!("failed to watch a child: {error}");
            // Its channel closes with the value, at which it ends if it waits.
            let text = format!("Failed to watch a child: {error}");
            self.answer(asked, Reply::Failure(failure(FailureKind::System, text)));
            return;
        }
        self.tasks.insert(token, Task { child, asked, purpose });
    }

    /// Answers a request that waited.
    pub(super) fn answer(&mut self, asked: Option<Asked>, reply: Reply) {
        if let Some((connection, id)) = asked {
            self.reply(connection, id, reply);
        }
    }

    /// Takes in what a child says, until there is no more for now.
    pub(super) fn hear(&mut self, token: Token) {
        while let Some(task) = self.tasks.get(&token) {
            match task.child.channel.try_receive() {
                Received::Blocked => return,
                Received::Message(reply, descriptors) => self.heard(token, *reply, descriptors),
                Received::Ended => {
                    if let Some(task) = self.tasks.remove(&token) {
                        self.silent(task);
                    }
                }
            }
        }
    }

    /// Whom a task was to answer.
    pub(super) fn take_asked(&mut self, token: Token) -> Option<Asked> {
        self.tasks.get_mut(&token).and_then(|task| task.asked.take())
    }

    /// Lets a container's first process go on to its program; whether it is still there.
    pub(super) fn tell_first(&mut self, id: &str, asked: Asked) -> bool {
        let first = self
            .tasks
            .values_mut()
            .find(|task| matches!(&task.purpose, Purpose::First { container } if container == id));
        let Some(task) = first else { return false };
        task.asked = Some(asked);
        task.child.channel.send(Reply::Done(Done {}), &[]).is_ok()
    }

    fn heard(&mut self, token: Token, reply: Reply, descriptors: Vec<OwnedFd>) {
        let Some(task) = self.tasks.get_mut(&token) else { return };
        match (&mut task.purpose, reply) {
            (Purpose::First { container }, Reply::Failure(failure)) => {
                let (container, asked) = (container.clone(), task.asked.take());
                self.first_failed(&container, asked, failure);
            }
            (Purpose::First { container }, _) => {
                let container = container.clone();
                self.first_said(token, &container, descriptors);
            }
            (Purpose::Command { streams, .. }, Reply::Done(_)) => {
                for main in descriptors {
                    if let Err(error) = streams.set_terminal(main) {
                        crate::say!("failed to take a terminal over: {error}");
                    }
                }
            }
            (Purpose::Files { streams }, Reply::Done(_)) => {
                let (pid, asked) = (task.child.pid, task.asked.take());
                let streams = std::mem::take(streams);
                let session = self.sessions.add(pid, streams, asked, Tie::Attached);
                self.answer(asked, describe_start(session, pid));
            }
            (_, reply) => {
                let asked = task.asked.take();
                self.answer(asked, reply);
            }
        }
    }

    /// A child has ended or become a program.
    fn silent(&mut self, task: Task) {
        let Task { child, asked, purpose } = task;
        match purpose {
            Purpose::Command { streams, tie, inline } if asked.is_some() => {
                self.started(child.pid, asked, streams, (tie, inline));
            }
            Purpose::First { container } => self.first_silent(&container, child, asked),
            // The rest is done when it has been reaped.
            Purpose::Release => drop(self.releasing.insert(child.pid, asked)),
            _ => {
                let text = "The agent's child ended without an answer";
                self.answer(asked, Reply::Failure(failure(FailureKind::System, text)));
            }
        }
    }

    fn started(
        &mut self,
        pid: Pid,
        asked: Option<Asked>,
        mut streams: Streams,
        (tie, inline): (Tie, u32),
    ) {
        let connected = asked.is_some_and(|(token, _)| self.connections.contains_key(&token));
        if !connected && tie == Tie::Attached {
            // Whoever wanted it has gone meanwhile.
            let _ = kill_process_group(pid, Signal::KILL);
            return;
        }
        let asked = asked.filter(|_| connected);
        let outputs = (inline > 0).then(|| outputs_of(&mut streams));
        let session = self.sessions.add(pid, streams, asked, tie);
        self.answer(asked, describe_start(session, pid));
        if let (Some(outputs), Some(asked)) = (outputs, asked) {
            self.begin_inline(session, outputs, asked, inline);
        }
    }

    /// Hears what a child that has been reaped had left to say, before its end is told.
    pub(super) fn hear_last(&mut self, pid: Pid) {
        let token = self.tasks.iter().find(|(_, task)| task.child.pid == pid);
        let Some(token) = token.map(|(token, _)| *token) else { return };
        self.hear(token);
        // Somebody else has its end of the channel still.
        if let Some(task) = self.tasks.remove(&token) {
            self.silent(task);
        }
    }
}
