//! From the command line to serving, and to the end.

mod args;
mod assemble;
mod inherited;
mod logger;
mod notify;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use engine::http;
use engine::paths::Paths;
use engine::store::{Hold, Holder};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::args::Args;
use self::socket::ApiSocket;

/// How long work that cannot be interrupted may take at the end.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    logger::start(args.log_level);
    // First of all, while nothing else can have its number.
    let inherited = inherited::listener()?;
    let paths = Paths::find(args.folders()?)?;
    paths.prepare()?;
    let holder = Holder { pid: std::process::id(), socket: paths.socket().to_owned() };
    // Both held until this process ends, however that happens.
    let _holds = [Hold::take(&paths.lock(), &holder)?, Hold::take(&paths.runtime_lock(), &holder)?];
    let socket = match inherited {
        Some(listener) => ApiSocket::given(listener),
        None => ApiSocket::bind(paths.socket(), args.group.as_deref())?,
    };
    allow_many_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("engine")
        .build()
        .context("failed to start threads")?;
    let served = runtime.block_on(serve(args, &paths, socket));
    runtime.shutdown_timeout(LAST_WORK);
    served
}

async fn serve(args: &Args, paths: &Paths, socket: ApiSocket) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let (listener, file) = socket.into_parts()?;
    let engine = Arc::new(assemble::engine(args, paths).await?);
    log::info!("Serving on {}", paths.socket().display());
    notify::tell("READY=1");
    let router = http::router(Arc::clone(&engine));
    let served = http::serve::serve(listener, router, stop).await;
    notify::tell("STOPPING=1");
    log::info!("Ending; machines stay");
    // Clients that come from now on find nobody, rather than a socket that does not answer.
    drop(file);
    engine.networks.retire().await;
    served.context("failed to serve the API")
}

/// Done at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let failed = "failed to take over signals";
    let mut terminate = signal(SignalKind::terminate()).context(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(failed)?;
    // A terminal that closes is no reason to end.
    let mut hangup = signal(SignalKind::hangup()).context(failed)?;
    let (sender, stop) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut sender = Some(sender);
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => continue,
            }
            match sender.take() {
                Some(first) => drop(first.send(())),
                None => std::process::exit(1),
            }
        }
    });
    Ok(async {
        // The task that holds the sender lives as long as the runtime.
        let _ = stop.await;
    })
}

/// Each container has several sockets; the soft limit is meant for programs that use select(2).
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("Failed to raise the limit of open files: {error}");
    }
}
