//! The life of the process: set up, wait for the start, run, leave in order.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, bail};
use api::vm::config_state::ConfigFile;
use api::vm::wire::{ActionType, Logger, Metrics};
use api::vm::{EventHub, Incoming, Server, ServerOptions, SocketFile, Stopper, VmController};
use api::vm::{VmRequest, listen, mailbox};
use jail::seccomp::ThreadKind;
use nix::sys::signal::Signal;
use serde_json::json;
use vmm::board::inherited;
use vmm::machine::{Control, Ended, Machine};

use crate::args::Args;
use crate::confinement::Confinement;
use crate::flush::Ticker;
use crate::host::OpenFiles;
use crate::logger;
use crate::monitor::Monitor;
use crate::probe;
use crate::signals::Ending;
use crate::startup::Startup;
use crate::terminal::RawMode;

/// How long clients may take for their last answers.
const GRACE: Duration = Duration::from_millis(100);

/// The monitor and its requests. Only the main thread looks into it while a machine runs, so the
/// locks are free.
struct Desk {
    monitor: Mutex<Monitor>,
    incoming: Mutex<Incoming>,
    /// The running machine.
    control: OnceLock<Control>,
    /// The API's.
    socket: Mutex<Option<SocketFile>>,
}

impl Desk {
    fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> MutexGuard<'_, Option<SocketFile>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers what has come in, on the machine's own thread.
    fn drain(&self, machine: &mut Machine) {
        while let Ok(Some((request, reply))) = self.incoming().next() {
            reply.send(self.monitor().serve(request, Some(machine)));
        }
    }
}

/// Runs the machine that `args` and the API describe; gives the exit status.
pub(crate) fn run(args: Args, started: Instant) -> anyhow::Result<u8> {
    if args.probe {
        serde_json::to_writer(io::stdout(), &probe::probe())?;
        return Ok(0);
    }
    if args.describe_snapshot.is_some() {
        bail!("--describe-snapshot: snapshots are not available yet");
    }
    if args.seccomp_filter.is_some() {
        bail!(
            "--seccomp-filter: filters that were compiled for Firecracker list the system calls of \
             its threads, not of these; leave it out for the filters built in"
        );
    }
    if args.no_api && args.config_file.is_none() && args.spec.is_none() {
        bail!("--no-api: nothing describes the machine; give --config-file or --spec");
    }
    prepare(&args)?;
    let confinement = Confinement::new(&args)?;
    let ending = Ending::take_over()?;
    let monitor = Monitor::new(&args, started, confinement)?;
    let events = monitor.events.clone();
    let waker = Arc::new(OnceLock::<Arc<Desk>>::new());
    let to_wake = Arc::clone(&waker);
    let (controller, incoming) = mailbox(move || wake(&to_wake));
    let desk = Arc::new(Desk {
        monitor: Mutex::new(monitor),
        incoming: Mutex::new(incoming),
        control: OnceLock::new(),
        socket: Mutex::new(None),
    });
    // Set once, just here.
    let _ = waker.set(Arc::clone(&desk));
    end_on_signals(&desk, ending, &confinement)?;
    let start_api = || start_api(&desk, &args, controller, events, &confinement);
    let status = serve(&desk, &args, &confinement, start_api);
    // The signals' thread has the desk, too.
    drop(desk.socket().take());
    status
}

/// From the first request to the end of the machine.
fn serve(
    desk: &Arc<Desk>,
    args: &Args,
    confinement: &Confinement,
    start_api: impl FnOnce() -> anyhow::Result<ApiThread>,
) -> anyhow::Result<u8> {
    let api = if args.no_api { None } else { Some(start_api()?) };
    {
        let mut monitor = desk.monitor();
        monitor.startup = Some(Startup::measure(args, monitor.started));
    }
    configure(desk, args)?;
    let machine = wait_for_start(desk)?;
    start_ticker(desk, &machine, confinement);
    confinement.confine(ThreadKind::Main);
    let ended = run_machine(desk, machine);
    let distinct = args.spec.is_some();
    Ok(finish(desk, api, &ended, distinct))
}

/// The API's thread.
struct ApiThread {
    stopper: Stopper,
    thread: thread::JoinHandle<()>,
}

fn start_api(
    desk: &Desk,
    args: &Args,
    controller: impl VmController,
    events: EventHub,
    confinement: &Confinement,
) -> anyhow::Result<ApiThread> {
    let listener = api_socket(desk, &args.api_sock)?;
    let mut options = ServerOptions { events, ..ServerOptions::default() };
    options.limits.body = args.http_api_max_payload_size;
    let (server, stopper) = Server::new(listener, controller, options)?;
    let confine = confinement.on(ThreadKind::Api);
    let serve = move || {
        confine();
        server.run();
    };
    let thread = thread::Builder::new().name("api".to_owned()).spawn(serve)?;
    Ok(ApiThread { stopper, thread })
}

/// Listens at `path`, or takes the descriptor that it names.
fn api_socket(desk: &Desk, path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(fd) = inherited(path) {
        let listener = fd
            .map(UnixListener::from)
            .and_then(|listener| listener.local_addr().map(|_| listener))
            .with_context(|| format!("{} is not a unix socket that listens", path.display()))?;
        return Ok(listener);
    }
    let (listener, socket) = listen(path).context("failed to make the API socket")?;
    *desk.socket() = Some(socket);
    Ok(listener)
}

fn prepare(args: &Args) -> anyhow::Result<()> {
    logger::start(&args.id);
    let settings = Logger {
        log_path: args.log_path.clone(),
        level: args.level,
        show_level: args.show_level.then_some(true),
        show_log_origin: args.show_log_origin.then_some(true),
        module: args.module.clone(),
    };
    logger::configure(&settings).context("failed to open the log")
}

/// Has the main thread look at its requests, where it is in the machine's loop.
fn wake(waker: &OnceLock<Arc<Desk>>) {
    let Some(desk) = waker.get() else { return };
    if let Some(control) = desk.control.get() {
        let desk = Arc::clone(desk);
        // A machine that has ended answers no more: the server tells the clients.
        let _ = control.post(move |machine| desk.drain(machine));
    }
}

/// Signals end the machine in good order.
fn end_on_signals(
    desk: &Arc<Desk>,
    ending: Ending,
    confinement: &Confinement,
) -> anyhow::Result<()> {
    let desk = Arc::clone(desk);
    let confine = confinement.on(ThreadKind::Signals);
    let wait = move || {
        confine();
        loop {
            match ending.wait() {
                Ok(signal) => end_by(signal, &desk, &ending),
                Err(e) => return log::error!("{e:#}"),
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

fn end_by(signal: Signal, desk: &Desk, ending: &Ending) {
    if let Some(control) = desk.control.get() {
        // One that has ended needs no more.
        return drop(control.post(Machine::stop));
    }
    log::warn!("Ended by {signal} before the machine was started");
    // Nothing runs and nothing is kept; the sockets' files are all there is.
    drop(desk.socket().take());
    // A main thread that is at work on a request is not waited for: it may hang on a file.
    if let Ok(mut monitor) = desk.monitor.try_lock() {
        monitor.files = OpenFiles::default();
    }
    ending.die(signal);
}

/// Takes over what the command line says about the machine, and starts it if that is all.
fn configure(desk: &Desk, args: &Args) -> anyhow::Result<()> {
    let mut monitor = desk.monitor();
    if let Some(path) = &args.metrics_path {
        let settings = Metrics { metrics_path: path.clone(), ..Metrics::default() };
        monitor.serve(VmRequest::PutMetrics(settings), None)?;
    }
    if let Some(path) = &args.metadata {
        let text = fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let document = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        monitor.metadata.put(document)?;
    }
    let Some(path) = args.spec.as_ref().or(args.config_file.as_ref()) else { return Ok(()) };
    let text =
        fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let name = || format!("in {}", path.display());
    let file = ConfigFile::parse(&text).with_context(name)?;
    if args.spec.is_some() != matches!(file, ConfigFile::Spec(_)) {
        bail!("{} has the other kind of document: --spec and --config-file differ", path.display());
    }
    let Monitor { config, files, .. } = &mut *monitor;
    config.load(file, files).with_context(name)?;
    monitor.serve(VmRequest::Action(ActionType::InstanceStart), None)?;
    Ok(())
}

/// Answers requests until one of them has started the machine.
fn wait_for_start(desk: &Desk) -> anyhow::Result<Machine> {
    if let Some(machine) = take_built(desk) {
        return Ok(machine);
    }
    loop {
        let (request, reply) = desk.incoming().wait()?;
        let answer = desk.monitor().serve(request, None);
        // Before the client knows of it: a signal that it sends then must find the machine.
        let built = take_built(desk);
        reply.send(answer);
        if let Some(machine) = built {
            return Ok(machine);
        }
    }
}

/// The machine, if it was built; from then on signals end it in good order.
fn take_built(desk: &Desk) -> Option<Machine> {
    let machine = desk.monitor().built.take()?;
    // Set once: there is one machine.
    let _ = desk.control.set(machine.control());
    Some(machine)
}

/// Has metrics written every minute, if there is a file for them.
fn start_ticker(desk: &Arc<Desk>, machine: &Machine, confinement: &Confinement) {
    let mut monitor = desk.monitor();
    if monitor.files.metrics.is_none() {
        return;
    }
    let (control, at_desk) = (machine.control(), Arc::clone(desk));
    let flush = move || {
        let desk = Arc::clone(&at_desk);
        control.post(move |_| drop(desk.monitor().flush_metrics())).is_ok()
    };
    let confine = confinement.on(ThreadKind::Metrics);
    match Ticker::start(move || confine(), flush) {
        Ok(ticker) => monitor.ticker = Some(ticker),
        Err(e) => log::error!("Failed to start the metrics' clock: {e}"),
    }
}

/// Runs the machine to its end on this thread.
fn run_machine(desk: &Arc<Desk>, machine: Machine) -> Ended {
    {
        let mut monitor = desk.monitor();
        if monitor.running.as_ref().is_some_and(|running| running.uses_terminal) {
            // Only now: from here on every signal ends the machine in good order.
            match RawMode::enter() {
                Ok(terminal) => monitor.terminal = terminal,
                Err(e) => log::error!("Failed to put the terminal into raw mode: {e}"),
            }
        }
    }
    // What came in before there was a machine to wake for.
    let at_desk = Arc::clone(desk);
    let _ = machine.control().post(move |machine| at_desk.drain(machine));
    machine.run()
}

/// Tells everybody of the end; gives the exit status.
fn finish(desk: &Desk, api: Option<ApiThread>, ended: &Ended, distinct: bool) -> u8 {
    let mut monitor = desk.monitor();
    monitor.terminal = None;
    let status = match distinct {
        true => ended.end.exit_status(),
        false => ended.end.firecracker_exit_status(),
    };
    if status == 0 {
        log::info!("{ended}");
    } else {
        log::error!("{ended}");
    }
    let data = json!({ "end": ended.end, "status": status, "message": ended.to_string() });
    monitor.events.publish("exited", data);
    monitor.events.close();
    if monitor.files.metrics.is_some()
        && let Err(e) = monitor.flush_metrics()
    {
        log::error!("Failed to write the last metrics: {e}");
    }
    // Ends the devices' threads, so that all output is out.
    monitor.running = None;
    drop(monitor);
    if let Some(api) = api {
        api.stopper.stop(GRACE);
        // One that panicked has said so.
        let _ = api.thread.join();
    }
    status
}
