//! The engine, as commands use it: its socket, requests, streams.

pub(crate) mod attach;
pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod launch;
pub(crate) mod progress;
pub(crate) mod query;

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;

pub(crate) use client::{Engine, EngineError};
pub(crate) use query::Query;

/// The exit status where the engine, not the container, is at fault.
pub(crate) const ENGINE_FAILED: u8 = 125;

/// Connects to the engine, starting it where none runs, and carries out `work`. Commands of
/// Docker's end with 1 where the engine refuses; those that run something have 125 for it.
pub(crate) fn with_engine<F>(
    host: Option<&str>,
    work: impl FnOnce(Engine) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the event loop")?;
    let result = runtime.block_on(async { work(launch::connect(host).await?).await });
    // A thread may still wait for input that nobody wants any more.
    runtime.shutdown_background();
    result
}

/// Carries out `work` for each of `names`, printing the name after each success. All are tried;
/// the status tells whether any failed.
pub(crate) async fn for_each<'a, F>(
    names: &'a [String],
    mut work: impl FnMut(&'a str) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut failed = false;
    for name in names {
        match work(name).await {
            Ok(()) => crate::output::line(name)?,
            Err(error) => {
                crate::output::report(&error);
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
