//! The boundary between the server and the monitor.

use std::future::Future;
use std::sync::{Arc, mpsc};

use thiserror::Error;
use tokio::sync::oneshot;

use super::{VmFault, VmRequest, VmResponse};

/// Whoever answers requests.
pub trait VmController: Send + Sync + 'static {
    /// Carries out a request, or says why not.
    fn call(&self, request: VmRequest) -> impl Future<Output = Result<VmResponse, VmFault>> + Send;
}

impl<C: VmController> VmController for Arc<C> {
    async fn call(&self, request: VmRequest) -> Result<VmResponse, VmFault> {
        C::call(self, request).await
    }
}

/// A controller that hands each request to another thread, which need not be asynchronous.
///
/// ```
/// # use std::sync::Arc;
/// use api::vm::{VmResponse, mailbox};
///
/// // `wake` makes the other thread look, for instance by writing to an eventfd in its event loop.
/// let (controller, incoming) = mailbox(|| {});
/// // In the other thread:
/// while let Ok(Some(request)) = incoming.next() {
///     let (request, reply) = request;
///     reply.send(Ok(VmResponse::Empty));
/// }
/// # drop(controller);
/// ```
pub struct Mailbox<W> {
    sender: mpsc::Sender<(VmRequest, Reply)>,
    wake: W,
}

/// The other thread's side of a [`Mailbox`].
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<(VmRequest, Reply)>);

/// Where the answer to one request goes. Dropped without an answer, the client is told that the
/// machine is ending.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Result<VmResponse, VmFault>>);

/// Every controller of a mailbox is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the API server has ended")]
pub struct Gone;

/// A controller and the queue that its requests arrive in. `wake` is called after each of them.
pub fn mailbox<W: Fn() + Send + Sync + 'static>(wake: W) -> (Mailbox<W>, Incoming) {
    let (sender, receiver) = mpsc::channel();
    (Mailbox { sender, wake }, Incoming(receiver))
}

impl<W: Fn() + Send + Sync + 'static> VmController for Mailbox<W> {
    async fn call(&self, request: VmRequest) -> Result<VmResponse, VmFault> {
        let (reply, answer) = oneshot::channel();
        self.sender.send((request, Reply(reply))).map_err(|_| VmFault::Ending)?;
        (self.wake)();
        answer.await.unwrap_or(Err(VmFault::Ending))
    }
}

impl Incoming {
    /// The next request, or none if none waits.
    ///
    /// # Errors
    ///
    /// [`Gone`] if none will ever come.
    pub fn next(&self) -> Result<Option<(VmRequest, Reply)>, Gone> {
        match self.0.try_recv() {
            Ok(request) => Ok(Some(request)),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(Gone),
        }
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// [`Gone`] if none will ever come.
    pub fn wait(&self) -> Result<(VmRequest, Reply), Gone> {
        self.0.recv().map_err(|_| Gone)
    }
}

impl Reply {
    /// Answers. A client that has gone in the meantime is not an error.
    pub fn send(self, answer: Result<VmResponse, VmFault>) {
        let _ = self.0.send(answer);
    }
}

impl<W> std::fmt::Debug for Mailbox<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn request_reaches_the_other_thread_and_its_answer_comes_back() {
        let (controller, incoming) = mailbox(|| {});
        let monitor = std::thread::spawn(move || {
            let (request, reply) = incoming.wait().unwrap();
            reply.send(Ok(VmResponse::Version("1".into())));
            request
        });
        let answer = block_on(controller.call(VmRequest::GetVersion)).unwrap();
        assert!(matches!(answer, VmResponse::Version(version) if version == "1"));
        assert_eq!(monitor.join().unwrap(), VmRequest::GetVersion);
    }

    #[test]
    fn other_thread_is_woken_once_for_each_request() {
        static WOKEN: AtomicU32 = AtomicU32::new(0);
        let (controller, incoming) = mailbox(|| {
            WOKEN.fetch_add(1, Ordering::Relaxed);
        });
        let monitor = std::thread::spawn(move || drop(incoming.wait().unwrap()));
        assert_eq!(block_on(controller.call(VmRequest::Pause)).unwrap_err(), VmFault::Ending);
        monitor.join().unwrap();
        assert_eq!(WOKEN.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn request_to_a_monitor_that_has_ended_is_refused() {
        let (controller, incoming) = mailbox(|| {});
        drop(incoming);
        assert_eq!(block_on(controller.call(VmRequest::Pause)).unwrap_err(), VmFault::Ending);
    }

    #[test]
    fn empty_queue_is_none_and_a_closed_one_gone() {
        let (controller, incoming) = mailbox(|| {});
        assert!(incoming.next().unwrap().is_none());
        drop(controller);
        assert_eq!(incoming.next().unwrap_err(), Gone);
    }
}
