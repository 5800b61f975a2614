use super::*;
use crate::virtio::fake_driver::{DATA, FakeDriver, Part};

/// Completes each chain with the length of its writable part; echoes an eventfd.
#[derive(Default)]
struct Echo {
    queue: Option<Queue>,
    signal: Option<(EventFd, Sender<u64>)>,
}

impl Handler for Echo {
    fn start_queue(&mut self, queue: Queue, _: &mut Context<'_>) -> Result<(), StartQueueError> {
        self.queue = Some(queue);
        Ok(())
    }
    fn stop_queue(&mut self, _: u16, _: &mut Context<'_>) -> Option<QueueState> {
        self.queue.take().map(|q| q.state())
    }
    fn kicked(&mut self, _: u16, _: &mut Context<'_>) {
        let Some(queue) = &mut self.queue else { return };
        while let Some(chain) = queue.next() {
            queue.complete(chain.head, chain.writable.len() as u32);
        }
        queue.signal();
    }
    fn ready(&mut self, token: u32, _: EventSet, _: &mut Context<'_>) {
        let (event, sender) = self.signal.as_ref().unwrap();
        sender.send(event.read().unwrap() * u64::from(token)).unwrap();
    }
}

#[test]
fn queue_that_already_holds_requests_is_served_at_start() {
    let (handle, thread) = EventLoop::spawn("echo", || {}).unwrap();
    let remote = handle.add(Echo::default()).unwrap();
    let mut driver = FakeDriver::new(8);
    let head = driver.add(&[Part::Write(DATA, 5)]);
    remote.start_queue(driver.queue()).unwrap();
    assert_eq!(driver.used(), [(head, 5)]);
    handle.end();
    thread.join().unwrap();
}

#[test]
fn kick_is_served_and_a_stopped_queue_is_not() {
    let (handle, thread) = EventLoop::spawn("echo", || {}).unwrap();
    let remote = handle.add(Echo::default()).unwrap();
    let mut driver = FakeDriver::new(8);
    remote.start_queue(driver.queue()).unwrap();
    let head = driver.add(&[Part::Write(DATA, 5)]);
    driver.kick.write(1).unwrap();
    // Commands and kicks share the loop: two calls later the kick has had its turn.
    while driver.metrics.kicks.get() == 0 {
        remote.call(|_, _| ()).unwrap();
    }
    remote.call(|_, _| ()).unwrap();
    assert_eq!(driver.used(), [(head, 5)]);

    let state = remote.stop_queue(0).unwrap();
    assert_eq!(state, QueueState { next_available: 1, next_used: 1 });
    driver.add(&[Part::Write(DATA, 5)]);
    driver.kick.write(1).unwrap();
    remote.call(|_, _| ()).unwrap();
    assert_eq!(driver.used(), []);
    assert!(remote.stop_queue(0).is_none());

    remote.start_queue(driver.queue_at(state)).unwrap();
    assert_eq!(driver.used().len(), 1);
    handle.end();
    thread.join().unwrap();
}

#[test]
fn watched_descriptor_calls_the_handler_with_its_token() {
    let (handle, thread) = EventLoop::spawn("echo", || {}).unwrap();
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    let (sender, receiver) = mpsc::channel();
    let watched = event.try_clone().unwrap();
    let remote = handle
        .add(Echo { queue: None, signal: Some((event.try_clone().unwrap(), sender)) })
        .unwrap();
    let _watched = remote
        .call(move |_, cx| cx.watch(&watched, 7, EventSet::IN).map(|()| watched))
        .unwrap()
        .unwrap();
    event.write(3).unwrap();
    assert_eq!(receiver.recv().unwrap(), 21);
    handle.end();
    thread.join().unwrap();
}

#[test]
fn ended_loop_is_reported() {
    let (handle, thread) = EventLoop::spawn("echo", || {}).unwrap();
    let remote = handle.add(Echo::default()).unwrap();
    handle.end();
    thread.join().unwrap();
    assert_eq!(remote.call(|_, _| ()), Err(LoopGone));
    let error = remote.start_queue(FakeDriver::new(8).queue()).unwrap_err();
    assert!(matches!(error, StartQueueError::EventLoopGone { index: 0 }));
}
