//! The switch as a process: started once, found again, and told everything anew when it was away.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use launch::Process;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use switch::client::{Client, ClientError};
use switch::control::{Request, Response};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};

use super::NetworkError;

/// The program's name, beside this one or on the PATH.
const PROGRAM: &str = "bulkhead-switch";
/// It only makes two sockets.
const START: Duration = Duration::from_secs(10);

/// The connection to the switch, if there is one. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    folder: PathBuf,
    client: Arc<Mutex<Option<Client>>>,
    /// Told each time that a switch ends.
    died: Arc<Notify>,
    /// The switch that was told everything last.
    switches: Arc<watch::Sender<Option<u32>>>,
}

impl Wire {
    /// With the switch's sockets in `folder`. Nothing is started yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        let switches = Arc::new(watch::Sender::new(None));
        Self { folder, client: Arc::default(), died: Arc::default(), switches }
    }

    /// Where cards connect.
    pub(super) fn cards(&self) -> PathBuf {
        self.folder.join("cards.sock")
    }

    /// The process id of the switch that was told everything last.
    pub(super) fn switches(&self) -> watch::Receiver<Option<u32>> {
        self.switches.subscribe()
    }

    fn control(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// Waits until a switch has ended.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// Sends `requests`, of which the first refusal is the outcome. A switch that was not yet
    /// spoken to is told `everything` before.
    pub(super) async fn tell(
        &self,
        subject: &str,
        everything: impl Fn() -> Vec<Request>,
        requests: Vec<Request>,
    ) -> Result<Vec<Response>, NetworkError> {
        for attempt in 0.. {
            if !self.connected() {
                self.connect(everything()).await?;
            }
            match self.send(requests.clone()).await {
                Ok(responses) => return Ok(responses),
                // It went away; the one that takes its place is told.
                Err(error) if attempt == 0 && error.fault().is_none() => {}
                Err(source) => {
                    return Err(NetworkError::Switch { subject: subject.to_owned(), source });
                }
            }
        }
        Ok(Vec::new())
    }

    /// Ends the switch, if there is one.
    pub(super) async fn shut_down(&self) {
        let control = self.control();
        let ended = blocking(move || Client::connect(&control)?.shut_down()).await;
        if let Err(error) = ended {
            log::debug!("no switch was ended: {error}");
        }
    }

    fn connected(&self) -> bool {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    async fn send(&self, requests: Vec<Request>) -> Result<Vec<Response>, ClientError> {
        let client = Arc::clone(&self.client);
        blocking(move || {
            let mut slot = client.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(client) = slot.as_mut() else { return Err(gone()) };
            let responses = requests.iter().map(|request| client.call(request)).collect();
            if matches!(&responses, Err(error) if ClientError::fault(error).is_none()) {
                *slot = None;
            }
            responses
        })
        .await
    }

    async fn connect(&self, everything: Vec<Request>) -> Result<(), NetworkError> {
        let (control, folder) = (self.control(), self.folder.clone());
        let client = match blocking(move || Client::connect(&control)).await {
            Ok(client) => client,
            Err(_) => {
                start(&folder, &self.control(), &self.cards()).await?;
                let control = self.control();
                blocking(move || Client::connect(&control)).await.map_err(talk)?
            }
        };
        let (client, pid) = blocking(move || restore(client, &everything)).await.map_err(talk)?;
        self.watch(pid);
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        let is_another = |known: &mut Option<u32>| known.replace(pid) != Some(pid);
        self.switches.send_if_modified(is_another);
        Ok(())
    }

    /// Tells when the process ends.
    fn watch(&self, pid: u32) {
        let process = Process::open(pid);
        // What it is deprecated for cannot happen: a `Process` owns one descriptor for all its life.
        #[expect(deprecated)]
        let process = process.and_then(|p| AsyncFd::with_interest(p, Interest::READABLE));
        let (died, client) = (Arc::clone(&self.died), Arc::clone(&self.client));
        tokio::spawn(async move {
            match process {
                Ok(process) => {
                    let _ = process.readable().await;
                }
                Err(error) => log::warn!("the switch, process {pid}: {error}"),
            }
            *client.lock().unwrap_or_else(PoisonError::into_inner) = None;
            log::warn!("the switch, process {pid}, has ended");
            died.notify_one();
        });
    }
}

fn talk(source: ClientError) -> NetworkError {
    NetworkError::Switch { subject: "all containers".to_owned(), source }
}

fn gone() -> ClientError {
    ClientError::Talk(io::ErrorKind::NotConnected.into())
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|_| Err(gone()))
}

/// Says everything. What is refused now (a port that another program took meanwhile) does not
/// keep the rest from being as it was.
fn restore(mut client: Client, everything: &[Request]) -> Result<(Client, u32), ClientError> {
    for request in everything {
        match client.call(request) {
            Err(error) if error.fault().is_some() => {
                log::error!("the switch could not be told again: {error}");
            }
            answered => drop(answered?),
        }
    }
    let pid = client.status()?.pid;
    Ok((client, pid))
}

/// Where the program is: `BULKHEAD_SWITCH`, else beside this program, else on the PATH.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("BULKHEAD_SWITCH").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let beside = env::current_exe().ok().and_then(|me| Some(me.parent()?.join(PROGRAM)));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PROGRAM.into())
}

async fn start(folder: &Path, control: &Path, cards: &Path) -> Result<(), NetworkError> {
    let program = program();
    let failed = |source| NetworkError::Start { program: program.clone(), source };
    let notices = prepare(folder, &[control, cards]).map_err(failed)?;
    let log = File::create(folder.join("log")).map_err(failed)?;
    let mut command = tokio::process::Command::new(&program);
    command.arg("--control").arg(control).arg("--ports").arg(cards);
    // Of its own: neither the terminal's ^C nor the engine's end ends it.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().map_err(failed)?;
    let process = Process::open(child.id().unwrap_or_default()).map_err(failed)?;
    // So that it does not stay as a zombie.
    tokio::spawn(async move { child.wait().await });
    let (cards, log) = (cards.to_owned(), folder.join("log"));
    let waiting = tokio::task::spawn_blocking(move || {
        let listens = wait_for(&cards, &notices, &process);
        if listens.is_err() {
            process.kill();
        }
        listens.map_err(|error| io::Error::new(error.kind(), said(&error, &log)))
    });
    waiting.await.map_err(io::Error::other).and_then(|listens| listens).map_err(failed)
}

/// Removes sockets that nobody listens at, and watches for new ones.
fn prepare(folder: &Path, sockets: &[&Path]) -> io::Result<rustix::fd::OwnedFd> {
    for socket in sockets {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let notices = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&notices, folder, inotify::WatchFlags::CREATE)?;
    Ok(notices)
}

/// Waits until the last of the sockets is there.
fn wait_for(socket: &Path, notices: &rustix::fd::OwnedFd, process: &Process) -> io::Result<()> {
    let deadline = Instant::now() + START;
    while !socket.exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left.try_into().map_err(io::Error::other)?;
        let mut fds = [PollFd::new(notices, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
        if poll(&mut fds, Some(&left))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !fds[1].revents().is_empty() {
            return Err(io::Error::other("it ended at once"));
        }
        // What happened is not of interest, only that it is no news any more.
        let mut buffer = [0; 4096];
        let _ = rustix::io::read(notices, &mut buffer);
    }
    Ok(())
}

/// The error with the program's last word.
fn said(error: &io::Error, log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    match log.lines().last() {
        Some(line) => format!("{error}: {line}"),
        None => error.to_string(),
    }
}
