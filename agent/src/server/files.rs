//! Requests about the files of containers.

use std::{fs::File, io::BufWriter, os::fd::OwnedFd};

use agent_protocol::message::{
    Done, Exec, Failure, FailureKind, ReadArchive, ReadChanges, Reply, StatPath, Stdio,
    WriteArchive,
};
use rustix::{
    fs::{Mode, OFlags, open},
    stdio::{stdin, stdout},
};

use super::{Server, requests::Answer, tasks::Purpose};
use crate::{
    archive::{self, ArchiveError, Boundary, Pack, Unpack},
    child::{self, Channel, Place},
    container::{Asked, Container, ContainerError, Inside},
    failure::{ToFailure, failure},
    session::streams::Streams,
};

/// How much is collected before it goes into the pipe, which holds no more at once.
const PIPE: usize = 64 << 10;

/// Mount points that the agent makes in every container.
const OWN: [&[u8]; 3] = [b"proc", b"sys", b"dev"];

/// Tells the host that the work begins.
type Begin<'a> = &'a dyn Fn() -> Result<(), ArchiveError>;

impl Server {
    pub(super) fn read_archive(
        &mut self,
        asked: Asked,
        request: &ReadArchive,
    ) -> Result<Answer, Failure> {
        let container = self.containers.get(&request.id).map_err(|error| error.to_failure())?;
        if request.changes_only {
            let own = own_paths(container);
            return self.work_on_files(asked, &request.id, Stdio::Null, |inside, begin| {
                let descriptors = archive::own_descriptors()?;
                begin()?;
                Pack::new(output()?, Boundary::Layer(own), descriptors).content_of(&inside.upper)
            });
        }
        let boundary =
            if request.one_file_system { Boundary::OneMount } else { Boundary::Everything };
        self.work_on_files(asked, &request.id, Stdio::Null, |inside, begin| {
            let descriptors = archive::own_descriptors()?;
            inside.enter_mounts().map_err(ArchiveError::Enter)?;
            let path = rooted(&request.path);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                open(&*path, flags, Mode::empty()).map_err(ArchiveError::opening(&path))?;
            begin()?;
            Pack::new(output()?, boundary, descriptors).whole(opened, archive::last_name(&path))
        })
    }

    pub(super) fn write_archive(
        &mut self,
        asked: Asked,
        request: &WriteArchive,
    ) -> Result<Answer, Failure> {
        let unpack = Unpack { keep_kinds: request.keep_kinds, keep_owners: request.keep_owners };
        self.work_on_files(asked, &request.id, Stdio::Stream, |inside, begin| {
            inside.enter_mounts().map_err(ArchiveError::Enter)?;
            let path = rooted(&request.path);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            open(&*path, flags, Mode::empty()).map_err(ArchiveError::opening(&path))?;
            let root = open("/", flags, Mode::empty()).map_err(ArchiveError::opening(b"/"))?;
            begin()?;
            let source = stdin().try_clone_to_owned().map_err(ArchiveError::Transfer)?;
            unpack.run(&root, &path, File::from(source))
        })
    }

    pub(super) fn read_changes(
        &mut self,
        asked: Asked,
        request: &ReadChanges,
    ) -> Result<Answer, Failure> {
        let container = self.containers.get(&request.id).map_err(|error| error.to_failure())?;
        let own = own_paths(container);
        self.work_on_files(asked, &request.id, Stdio::Null, |inside, begin| {
            begin()?;
            archive::compare(&inside.upper, &inside.lower, &own, output()?)
        })
    }

    pub(super) fn stat_path(
        &mut self,
        asked: Asked,
        request: &StatPath,
    ) -> Result<Answer, Failure> {
        let ask = || {
            let container = self.containers.get(&request.id)?;
            let inside = container.inside()?;
            child::spawn(&Place::default(), &inside.descriptors(), |channel| {
                let look = || {
                    inside.enter_mounts().map_err(ArchiveError::Enter)?;
                    archive::status(&request.path)
                };
                let status = look().map_err(|error: ArchiveError| error.to_failure())?;
                tell(channel, Reply::PathStatus(status))?;
                Ok(0)
            })
            .map_err(|source| ContainerError::Fork { id: request.id.clone(), source })
        };
        let child = ask().map_err(|error| error.to_failure())?;
        self.add_task(child, Some(asked), Purpose::Answer);
        Ok(Answer::Later)
    }

    /// Runs `work` in a child, whose standard output is a stream of a session, or its standard
    /// input. It calls what it is given when the host is to be told that it has begun.
    fn work_on_files(
        &mut self,
        asked: Asked,
        id: &str,
        stdin: Stdio,
        work: impl FnOnce(&Inside, Begin<'_>) -> Result<(), ArchiveError>,
    ) -> Result<Answer, Failure> {
        self.admit_session()?;
        let container = self.containers.get(id).map_err(|error| error.to_failure())?;
        let inside = container.inside().map_err(|error| error.to_failure())?;
        let stdout = if stdin == Stdio::Stream { Stdio::Null } else { Stdio::Stream };
        let exec = Exec { stdin: stdin.into(), stdout: stdout.into(), ..Exec::default() };
        let (streams, standard) = Streams::open(&exec).map_err(|error| error.to_failure())?;
        let mut keep = standard.descriptors();
        keep.extend(inside.descriptors());
        keep.extend([&inside.upper, &inside.lower].map(std::os::fd::AsFd::as_fd));
        let child = child::spawn(&Place::default(), &keep, |channel| {
            let installed = standard.install().map_err(ArchiveError::Transfer);
            installed.map_err(|error| error.to_failure())?;
            let begin = || {
                let sent = channel.send(Reply::Done(Done {}), &[]);
                sent.map_err(ArchiveError::Transfer)
            };
            work(inside, &begin).map_err(|error| {
                crate::say!("{}", crate::init::chain(&error));
                error.to_failure()
            })?;
            Ok(0)
        });
        let child = child
            .map_err(|source| ContainerError::Fork { id: id.to_owned(), source }.to_failure())?;
        self.add_task(child, Some(asked), Purpose::Files { streams });
        Ok(Answer::Later)
    }
}

/// Where the agent has made things to mount on.
fn own_paths(container: &Container) -> Vec<Vec<u8>> {
    let files = container.files().iter().map(|path| {
        let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
        path.get(start..).unwrap_or_default().to_vec()
    });
    OWN.iter().map(|path| path.to_vec()).chain(files).collect()
}

/// The stream that is standard output here.
fn output() -> Result<BufWriter<File>, ArchiveError> {
    let stream: OwnedFd = stdout().try_clone_to_owned().map_err(ArchiveError::Transfer)?;
    Ok(BufWriter::with_capacity(PIPE, File::from(stream)))
}

fn rooted(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() }
}

fn tell(channel: &Channel, reply: Reply) -> Result<(), Failure> {
    channel.send(reply, &[]).map_err(|error| failure(FailureKind::System, error.to_string()))
}
