//! Requests about containers.

use std::os::fd::OwnedFd;

use agent_protocol::message::{
    Containers, CreateContainer, Done, Failure, FailureKind, Reply, UpdateContainer, UpdateFiles,
};
use rustix::process::{Pid, WaitStatus};

use super::{
    Server, describe_start,
    requests::Answer,
    tasks::{Purpose, Task},
};
use crate::{
    child::{self, Child, Place},
    container::{self, Asked, Container, ContainerError, State, processes},
    failure::{ToFailure, failure},
    machine::modules,
    reactor::Token,
    session::{Tie, streams::Streams},
};

/// What a shell says of a program that could not be started.
fn shell_code(kind: FailureKind) -> u32 {
    match kind {
        FailureKind::ProgramNotFound => 127,
        FailureKind::NotExecutable => 126,
        _ => 125,
    }
}

impl Server {
    pub(super) fn create_container(
        &mut self,
        asked: Asked,
        request: &CreateContainer,
    ) -> Result<Answer, Failure> {
        self.containers.admit(&request.id).map_err(|error| error.to_failure())?;
        if std::mem::take(&mut self.machine.load_modules) {
            modules::load_for_containers();
        }
        let made = container::create(request, &self.machine, &self.file_limit);
        let (made, child) = made.map_err(|error| error.to_failure())?;
        self.watch_group(&made);
        self.containers.add(made);
        self.add_task(child, Some(asked), Purpose::First { container: request.id.clone() });
        Ok(Answer::Later)
    }

    /// Hears when a container's processes stand still and when the last has ended.
    fn watch_group(&mut self, container: &Container) {
        let token = self.reactor.token();
        match self.reactor.watch_priority(container.cgroup.events(), token) {
            Ok(()) => drop(self.groups.insert(token, container.id.clone())),
            Err(error) => crate::say!("failed to watch container {}: {error}", container.id),
        }
    }

    /// The first process has sent its terminal, or said that it is ready.
    pub(super) fn first_said(&mut self, task: Token, id: &str, descriptors: Vec<OwnedFd>) {
        let Ok(container) = self.containers.get_mut(id) else { return };
        match <[OwnedFd; 3]>::try_from(descriptors) {
            Ok(folders) => {
                let reply = match container.made(folders) {
                    Ok(()) => Reply::Done(Done {}),
                    Err(error) => Reply::Failure(error.to_failure()),
                };
                let asked = self.take_asked(task);
                self.answer(asked, reply);
            }
            Err(descriptors) => {
                for main in descriptors {
                    if let Err(error) = container.streams.set_terminal(main) {
                        crate::say!("failed to take a terminal over: {error}");
                    }
                }
            }
        }
    }

    /// The first process could not make the container, or not become its program.
    pub(super) fn first_failed(&mut self, id: &str, asked: Option<Asked>, failure: Failure) {
        if let Ok(container) = self.containers.get_mut(id) {
            if container.state == State::Creating {
                // It was never there: the answer comes when nothing of it is left.
                container.unmade = Some(failure);
                container.deleting = asked.or(Some(NOBODY));
                return;
            } else {
                container.set_end(shell_code(failure.kind()), 0);
            }
        }
        self.answer(asked, Reply::Failure(failure));
    }

    /// The first process has ended or become its program.
    pub(super) fn first_silent(&mut self, id: &str, child: Child, asked: Option<Asked>) {
        let Ok(container) = self.containers.get_mut(id) else { return };
        match container.state {
            State::Starting => {
                container.state = State::Running;
                let streams = std::mem::take(&mut container.streams);
                let session = self.sessions.add(child.pid, streams, None, Tie::Container);
                if let Ok(container) = self.containers.get_mut(id) {
                    container.session = session;
                }
                self.answer(asked, describe_start(session, child.pid));
            }
            State::Creating => {
                let text = format!("The first process of container {id:?} ended too early");
                container.unmade.get_or_insert(failure(FailureKind::System, text));
                container.deleting = container.deleting.or(asked).or(Some(NOBODY));
            }
            _ => {}
        }
    }

    pub(super) fn start_container(&mut self, asked: Asked, id: &str) -> Result<Answer, Failure> {
        let start = || -> Result<(), ContainerError> {
            self.containers.get(id)?.require(&[State::Created])
        };
        start().map_err(|error| error.to_failure())?;
        let text = format!("The first process of container {id:?} is gone");
        if !self.tell_first(id, asked) {
            return Err(failure(FailureKind::ContainerState, text));
        }
        if let Ok(container) = self.containers.get_mut(id) {
            container.state = State::Starting;
        }
        Ok(Answer::Later)
    }

    pub(super) fn wait_container(&mut self, asked: Asked, id: &str) -> Result<Answer, Failure> {
        let container = self.containers.get_mut(id).map_err(|error| error.to_failure())?;
        match &container.end {
            Some(end) if container.pid.is_none() => {
                Ok(Answer::now(Reply::ContainerEnd(end.clone())))
            }
            _ => {
                container.waiters.push(asked);
                Ok(Answer::Later)
            }
        }
    }

    /// Freezes or thaws a container; answered when its processes stand still or go on.
    pub(super) fn freeze(
        &mut self,
        asked: Asked,
        id: &str,
        frozen: bool,
    ) -> Result<Answer, Failure> {
        let container = self.containers.get_mut(id).map_err(|error| error.to_failure())?;
        let from = if frozen { State::Running } else { State::Paused };
        container.require(&[from]).map_err(|error| error.to_failure())?;
        container.cgroup.freeze(frozen).map_err(|error| error.to_failure())?;
        container.state = if frozen { State::Paused } else { State::Running };
        container.freezing = Some(asked);
        self.group_changed(id);
        Ok(Answer::Later)
    }

    /// Looks at what a control group's event may have changed.
    pub(super) fn group_changed(&mut self, id: &str) {
        let Ok(container) = self.containers.get_mut(id) else { return };
        let wanted = container.state == State::Paused;
        let gone = container.state == State::Ended;
        if (container.cgroup.is_frozen() == wanted || gone)
            && let Some(asked) = container.freezing.take()
        {
            self.answer(Some(asked), Reply::Done(Done {}));
        }
        self.delete_if_dead(id);
    }

    pub(super) fn update_container(
        &mut self,
        request: &UpdateContainer,
    ) -> Result<Answer, Failure> {
        let container = self.containers.get(&request.id).map_err(|error| error.to_failure())?;
        let resources = request.resources.unwrap_or_default();
        container.cgroup.limit(&resources).map_err(|error| error.to_failure())?;
        Ok(Answer::now(Reply::Done(Done {})))
    }

    pub(super) fn update_files(&mut self, request: &UpdateFiles) -> Result<Answer, Failure> {
        let updated = self.containers.get(&request.id);
        let updated = updated.and_then(|container| container.update_files(&request.files));
        updated.map_err(|error| error.to_failure())?;
        Ok(Answer::now(Reply::Done(Done {})))
    }

    pub(super) fn list_containers(&self) -> Reply {
        let containers = self.containers.iter().map(Container::status).collect();
        Reply::Containers(Containers { containers })
    }

    /// Lets a child look at a container's processes: their users' names are the container's.
    pub(super) fn list_processes(&mut self, asked: Asked, id: &str) -> Result<Answer, Failure> {
        let ask = || -> Result<Child, ContainerError> {
            let container = self.containers.get(id)?;
            container.require(&[State::Running, State::Paused])?;
            let inside = container.inside()?;
            let pids = container.cgroup.processes();
            let child = child::spawn(&Place::default(), &inside.descriptors(), |channel| {
                let mut processes = processes::read(pids);
                // Without the container's files there are numbers.
                if inside.enter_mounts().is_ok() {
                    processes::name_users(&mut processes);
                }
                let sent = channel.send(Reply::Processes(processes), &[]);
                sent.map_err(|error| failure(FailureKind::System, error.to_string()))?;
                Ok(0)
            });
            child.map_err(|source| ContainerError::Fork { id: id.to_owned(), source })
        };
        let child = ask().map_err(|error| error.to_failure())?;
        self.add_task(child, Some(asked), Purpose::Answer);
        Ok(Answer::Later)
    }

    /// A process has been reaped that may be a container's first.
    pub(super) fn first_reaped(&mut self, pid: Pid, status: WaitStatus) {
        let Some(container) = self.containers.by_pid(pid) else { return };
        container.note_end(status);
        let (id, end) = (container.id.clone(), container.end.clone());
        let waiters = std::mem::take(&mut container.waiters);
        if let Some(end) = end {
            for asked in waiters {
                self.answer(Some(asked), Reply::ContainerEnd(end.clone()));
            }
        }
        self.group_changed(&id);
    }

    /// Kills all that runs in a container; the rest happens when it is dead.
    pub(super) fn delete_container(&mut self, asked: Asked, id: &str) -> Result<Answer, Failure> {
        let container = self.containers.get_mut(id).map_err(|error| error.to_failure())?;
        if container.deleting.is_some() {
            let error = container.require(&[]).err();
            return Err(error.map_or_else(Failure::default, |error| error.to_failure()));
        }
        container.cgroup.kill().map_err(|error| error.to_failure())?;
        container.deleting = Some(asked);
        self.delete_if_dead(id);
        Ok(Answer::Later)
    }

    /// Lets a child write a dead container's changes out, which may take long.
    fn delete_if_dead(&mut self, id: &str) {
        let Ok(container) = self.containers.get_mut(id) else { return };
        let dead = container.is_dead();
        let Some(asked) = container.deleting.filter(|_| dead) else { return };
        let Some(mut container) = self.containers.remove(id) else { return };
        self.groups.retain(|_, group| group != id);
        self.sessions.remove(container.session);
        container.streams = Streams::default();
        let Some(inside) = container.inside.take() else {
            let reply = container.unmade.take().map_or(Reply::Done(Done {}), Reply::Failure);
            return self.answer(Some(asked), reply);
        };
        let keep = [&inside.mounts, &inside.upper].map(std::os::fd::AsFd::as_fd);
        let child = child::spawn(&Place::default(), &keep, |_| {
            // The last to hold them: they are unmounted when this process ends.
            rustix::fs::syncfs(&inside.upper).map_err(|errno| {
                let text = format!("Failed to write out the files of a container: {errno}");
                failure(FailureKind::System, text)
            })?;
            Ok(0)
        });
        match child {
            Ok(child) => {
                self.add_task(child, Some(asked), Purpose::Release);
            }
            Err(source) => {
                let error = ContainerError::Fork { id: id.to_owned(), source };
                self.answer(Some(asked), Reply::Failure(error.to_failure()));
            }
        }
    }
}

impl Server {
    /// Begins to end all containers, because the machine or the agent ends.
    pub(super) fn end_containers(&mut self) {
        let ids: Vec<String> = self.containers.iter().map(|c| c.id.clone()).collect();
        for id in ids {
            // One that is being deleted goes its way.
            if let Err(failure) = self.delete_container(NOBODY, &id)
                && failure.kind() != FailureKind::ContainerState
            {
                crate::say!("container {id}: {}", failure.message);
            }
        }
    }

    /// Whether all containers are gone and their changes written out.
    pub(super) fn containers_are_gone(&self) -> bool {
        let releasing = self.tasks.values().any(Task::is_release);
        self.containers.iter().next().is_none() && !releasing && self.releasing.is_empty()
    }
}

/// For a container that nobody asked to delete: no request has this number on this connection.
const NOBODY: Asked = (Token::NOBODY, 0);
