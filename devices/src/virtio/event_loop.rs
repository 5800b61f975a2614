//! Event loops: threads that run the handlers of devices.
//!
//! A busy device gets a loop of its own for each queue or pair of queues, quiet devices share
//! one. A [`Handler`] does not know which. The rest of the process talks to it by messages, with
//! a [`Remote`]; there is no lock.
//!
//! Kicks are watched edge-triggered, so that a notification costs no read of its eventfd.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use log::error;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::device::StartQueueError;
use super::queue::{Queue, QueueState};
use crate::metrics::QueueMetrics;

/// Marks a token as the kick of the queue whose index is in the low bits.
const KICK: u32 = 1 << 31;
/// The handler id under which the loop watches its own command signal.
const COMMANDS: u32 = 0;
/// Events taken from the kernel in one call.
const BATCH: usize = 64;

/// The back of a device: a state machine over queues and host resources.
///
/// Work in one call is bounded, so that commands get their turn: a handler that stops early asks
/// for another call with [`Context::kick_again`].
pub trait Handler: Any + Send {
    /// Takes a queue into service. A call of [`kicked`](Self::kicked) follows by itself.
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError>;

    /// Completes what is in flight on queue `index` and gives it up; `None` if it is not running.
    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState>;

    /// The driver added buffers to queue `index`.
    fn kicked(&mut self, index: u16, cx: &mut Context<'_>);

    /// A file descriptor that was watched under `token` is ready.
    fn ready(&mut self, token: u32, events: EventSet, cx: &mut Context<'_>) {
        let _ = (token, events, cx);
    }
}

/// The queues of one handler that are in service.
#[derive(Default)]
struct Kicks(HashMap<u16, (Arc<EventFd>, Arc<QueueMetrics>)>);

/// What a handler can ask of its loop.
pub struct Context<'a> {
    epoll: &'a Epoll,
    handler: u32,
    kicks: &'a mut Kicks,
}

impl Context<'_> {
    /// Watches `fd`: [`Handler::ready`] is called with `token` (below 2^31).
    pub fn watch(&mut self, fd: &impl AsRawFd, token: u32, events: EventSet) -> io::Result<()> {
        self.control(ControlOperation::Add, fd, token, events)
    }

    /// Changes what is watched of `fd`.
    pub fn rewatch(&mut self, fd: &impl AsRawFd, token: u32, events: EventSet) -> io::Result<()> {
        self.control(ControlOperation::Modify, fd, token, events)
    }

    /// Ends watching `fd`. Must come before it is closed if it has duplicates.
    pub fn unwatch(&mut self, fd: &impl AsRawFd) -> io::Result<()> {
        self.control(ControlOperation::Delete, fd, 0, EventSet::empty())
    }

    /// Calls [`Handler::kicked`] for queue `index` again, after whatever else is due.
    pub fn kick_again(&mut self, index: u16) {
        if let Some((kick, _)) = self.kicks.0.get(&index) {
            // An eventfd's write fails only when its 64-bit count is full: then it is signalled.
            let _ = kick.write(1);
        }
    }

    fn control(
        &mut self,
        operation: ControlOperation,
        fd: &impl AsRawFd,
        token: u32,
        events: EventSet,
    ) -> io::Result<()> {
        let data = u64::from(self.handler) << 32 | u64::from(token);
        self.epoll.ctl(operation, fd.as_raw_fd(), EpollEvent::new(events, data))
    }

    fn watch_kicks(&mut self, queue: &Queue) -> io::Result<()> {
        let (kick, index) = (Arc::clone(queue.kick()), queue.index());
        let data = u64::from(self.handler) << 32 | u64::from(KICK | u32::from(index));
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, data);
        self.epoll.ctl(ControlOperation::Add, kick.as_raw_fd(), event)?;
        self.kicks.0.insert(index, (kick, queue.shared_metrics()));
        Ok(())
    }

    fn unwatch_kicks(&mut self, index: u16) {
        if let Some((kick, _)) = self.kicks.0.remove(&index) {
            let event = EpollEvent::default();
            if let Err(e) = self.epoll.ctl(ControlOperation::Delete, kick.as_raw_fd(), event) {
                error!("failed to stop watching the kicks of queue {index}: {e}");
            }
        }
    }

    fn start_queue(
        &mut self,
        handler: &mut dyn Handler,
        queue: Queue,
    ) -> Result<(), StartQueueError> {
        let index = queue.index();
        self.watch_kicks(&queue).map_err(|source| StartQueueError::Host {
            operation: "watch the kicks",
            index,
            source,
        })?;
        if let Err(error) = handler.start_queue(queue, self) {
            self.unwatch_kicks(index);
            return Err(error);
        }
        handler.kicked(index, self);
        Ok(())
    }

    fn stop_queue(&mut self, handler: &mut dyn Handler, index: u16) -> Option<QueueState> {
        self.unwatch_kicks(index);
        handler.stop_queue(index, self)
    }
}

struct Slot {
    handler: Box<dyn Handler>,
    kicks: Kicks,
}

type Call = Box<dyn FnOnce(&mut dyn Handler, &mut Context<'_>) + Send>;

enum Command {
    Add(u32, Box<dyn Handler>),
    Call(u32, Call),
    Remove(u32),
    End,
}

/// The loop has ended, so its handlers cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event loop has ended")]
pub struct LoopGone;

/// A reference to a running loop.
#[derive(Clone)]
pub struct LoopHandle {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    next_id: Arc<AtomicU32>,
}

impl LoopHandle {
    /// Gives `handler` to the loop.
    pub fn add<H: Handler>(&self, handler: H) -> Result<Remote<H>, LoopGone> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(Command::Add(id, Box::new(handler)))?;
        Ok(Remote { handle: self.clone(), id, handler: PhantomData })
    }

    /// Ends the loop after what was sent before; its handlers are dropped.
    pub fn end(&self) {
        let _ = self.send(Command::End);
    }

    fn send(&self, command: Command) -> Result<(), LoopGone> {
        self.commands.send(command).map_err(|_| LoopGone)?;
        // Fails only when the count is full, and then the loop is awake.
        let _ = self.wake.write(1);
        Ok(())
    }
}

/// A handler on a loop, seen from elsewhere.
pub struct Remote<H> {
    handle: LoopHandle,
    id: u32,
    handler: PhantomData<fn(H)>,
}

impl<H> Clone for Remote<H> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), id: self.id, handler: PhantomData }
    }
}

impl<H: Handler> Remote<H> {
    /// Runs `f` on the loop and waits for its result. Not to be called from the loop itself.
    pub fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut H, &mut Context<'_>) -> R + Send + 'static,
    ) -> Result<R, LoopGone> {
        let (reply, result) = mpsc::sync_channel(1);
        self.cast(move |handler, cx| {
            // The caller waits; it cannot have gone.
            let _ = reply.send(f(handler, cx));
        })?;
        result.recv().map_err(|_| LoopGone)
    }

    /// Runs `f` on the loop without waiting.
    pub fn cast(
        &self,
        f: impl FnOnce(&mut H, &mut Context<'_>) + Send + 'static,
    ) -> Result<(), LoopGone> {
        let call: Call = Box::new(move |handler, cx| {
            let handler: &mut dyn Any = handler;
            if let Some(handler) = handler.downcast_mut::<H>() {
                f(handler, cx);
            }
        });
        self.handle.send(Command::Call(self.id, call))
    }

    /// Puts a queue into service; see [`Handler::start_queue`].
    pub fn start_queue(&self, queue: Queue) -> Result<(), StartQueueError> {
        let index = queue.index();
        self.call(move |handler, cx| cx.start_queue(handler, queue))
            .unwrap_or(Err(StartQueueError::EventLoopGone { index }))
    }

    /// Takes a queue out of service, after what is in flight; see [`Handler::stop_queue`].
    pub fn stop_queue(&self, index: u16) -> Option<QueueState> {
        self.call(move |handler, cx| cx.stop_queue(handler, index)).ok().flatten()
    }

    /// Drops the handler.
    pub fn remove(self) {
        let _ = self.handle.send(Command::Remove(self.id));
    }
}

/// A set of handlers and the thread's wait for their events.
pub struct EventLoop {
    epoll: Epoll,
    wake: Arc<EventFd>,
    commands: Receiver<Command>,
    slots: HashMap<u32, Slot>,
}

impl EventLoop {
    /// Starts a loop on a thread of its own, called `name`. `prepare` runs on it first (a seccomp
    /// filter, say).
    pub fn spawn(
        name: &str,
        prepare: impl FnOnce() + Send + 'static,
    ) -> io::Result<(LoopHandle, JoinHandle<()>)> {
        let (mut event_loop, handle) = Self::new()?;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            prepare();
            if let Err(e) = event_loop.run() {
                error!("event loop failed: {e}");
            }
        })?;
        Ok((handle, thread))
    }

    fn new() -> io::Result<(Self, LoopHandle)> {
        let epoll = Epoll::new()?;
        let wake = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        let event = EpollEvent::new(EventSet::IN, u64::from(COMMANDS) << 32);
        epoll.ctl(ControlOperation::Add, wake.as_raw_fd(), event)?;
        let (sender, commands) = mpsc::channel();
        let next_id = Arc::new(AtomicU32::new(COMMANDS + 1));
        let handle = LoopHandle { commands: sender, wake: Arc::clone(&wake), next_id };
        Ok((Self { epoll, wake, commands, slots: HashMap::new() }, handle))
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::default(); BATCH];
        loop {
            let count = match self.epoll.wait(-1, &mut events) {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            for event in events.iter().take(count) {
                let (id, token) = ((event.data() >> 32) as u32, event.data() as u32);
                if id == COMMANDS {
                    if self.obey().is_break() {
                        return Ok(());
                    }
                } else {
                    self.dispatch(id, token, event.event_set());
                }
            }
        }
    }

    fn dispatch(&mut self, id: u32, token: u32, events: EventSet) {
        // A handler that is gone can still have events in the batch at hand.
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if token & KICK == 0 {
            let mut cx = Context { epoll: &self.epoll, handler: id, kicks: &mut slot.kicks };
            slot.handler.ready(token, events, &mut cx);
            return;
        }
        let index = token as u16;
        // So can a queue that was stopped.
        let Some((_, metrics)) = slot.kicks.0.get(&index) else { return };
        metrics.kicks.increment();
        let mut cx = Context { epoll: &self.epoll, handler: id, kicks: &mut slot.kicks };
        slot.handler.kicked(index, &mut cx);
    }

    fn obey(&mut self) -> std::ops::ControlFlow<()> {
        // Before the commands are taken, so that none is missed. An empty count is no error here.
        let _ = self.wake.read();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(id, handler) => {
                    self.slots.insert(id, Slot { handler, kicks: Kicks::default() });
                }
                Command::Call(id, call) => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        let kicks = &mut slot.kicks;
                        let mut cx = Context { epoll: &self.epoll, handler: id, kicks };
                        call(&mut *slot.handler, &mut cx);
                    }
                }
                Command::Remove(id) => drop(self.slots.remove(&id)),
                Command::End => return std::ops::ControlFlow::Break(()),
            }
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// A stand-in for a loop, to drive a handler from a test without a thread.
#[cfg(any(test, feature = "fake-driver"))]
pub struct FakeLoop {
    epoll: Epoll,
    kicks: Kicks,
}

#[cfg(any(test, feature = "fake-driver"))]
impl FakeLoop {
    /// A loop that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new()?, kicks: Kicks::default() })
    }

    /// What a handler's calls need.
    pub fn context(&mut self) -> Context<'_> {
        Context { epoll: &self.epoll, handler: 1, kicks: &mut self.kicks }
    }

    /// Puts a queue into service and kicks it, as a real loop does.
    pub fn start_queue(
        &mut self,
        handler: &mut dyn Handler,
        queue: Queue,
    ) -> Result<(), StartQueueError> {
        self.context().start_queue(handler, queue)
    }

    /// Takes a queue out of service.
    pub fn stop_queue(&mut self, handler: &mut dyn Handler, index: u16) -> Option<QueueState> {
        self.context().stop_queue(handler, index)
    }

    /// Waits for events up to `timeout_ms` milliseconds (-1: for ever), lets `handler` deal with
    /// them, and returns how many there were.
    pub fn turn(&mut self, handler: &mut dyn Handler, timeout_ms: i32) -> io::Result<usize> {
        let mut events = [EpollEvent::default(); BATCH];
        let count = self.epoll.wait(timeout_ms, &mut events)?;
        for event in events.iter().take(count) {
            let token = event.data() as u32;
            let mut cx = self.context();
            if token & KICK == 0 {
                handler.ready(token, event.event_set(), &mut cx);
            } else {
                handler.kicked(token as u16, &mut cx);
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
