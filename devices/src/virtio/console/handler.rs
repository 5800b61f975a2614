//! The back of the console: its ports and the control queues.

use vmm_sys_util::epoll::EventSet;

use super::config::{ConsoleSize, NamedPort};
use super::control::Control;
use super::port::{Direction, Port};
use crate::char::GuestEnd;
use crate::virtio::device::StartQueueError;
use crate::virtio::event_loop::{Context, Handler};
use crate::virtio::queue::{Queue, QueueState};

/// Control messages to the driver (VIRTIO 1.3 §5.3.2).
pub(super) const CONTROL_RECEIVE: u16 = 2;
/// Control messages of the driver.
pub(super) const CONTROL_TRANSMIT: u16 = 3;

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Port(usize, Direction),
    ControlReceive,
    ControlTransmit,
}

/// The role of queue `index` (VIRTIO 1.3 §5.3.2): port 0 comes before the control queues, the
/// others after them.
fn role(index: u16) -> Role {
    let port = match index {
        CONTROL_RECEIVE => return Role::ControlReceive,
        CONTROL_TRANSMIT => return Role::ControlTransmit,
        0 | 1 => 0,
        _ => usize::from(index / 2 - 1),
    };
    let direction = if index.is_multiple_of(2) { Direction::Receive } else { Direction::Transmit };
    Role::Port(port, direction)
}

/// Serves the queues of a console.
pub struct ConsoleHandler {
    ports: Vec<Port>,
    control: Control,
}

impl ConsoleHandler {
    /// A handler without queues. Port 0 is the console, on `stream`; `further` ones have names.
    pub fn new(stream: GuestEnd, further: Vec<NamedPort>) -> Self {
        // Only the console takes input from the start: drivers without control queues, which know
        // no other port, never say that it is open.
        let mut ports = vec![Port::new(stream, 0, true)];
        let mut names = Vec::with_capacity(further.len());
        for (token, NamedPort { name, stream }) in (1..).zip(further) {
            ports.push(Port::new(stream, token, false));
            names.push(name);
        }
        Self { ports, control: Control::new(names) }
    }

    /// The driver has gone.
    pub(super) fn reset(&mut self) {
        self.control.reset();
        self.follow_control();
    }

    /// Tells the driver the size of the console's terminal, if it knows control messages.
    pub(super) fn resize(&mut self, size: ConsoleSize, cx: &mut Context<'_>) {
        self.control.resize(size);
        self.control.deliver(cx);
    }

    fn follow_control(&mut self) {
        for (number, port) in self.ports.iter_mut().enumerate().skip(1) {
            port.is_open = self.control.is_open(number);
        }
    }

    fn take_control(&mut self, cx: &mut Context<'_>) {
        self.control.take(cx);
        self.follow_control();
        self.control.deliver(cx);
        for port in self.ports.iter_mut().skip(1) {
            port.receive(cx);
        }
    }
}

impl Handler for ConsoleHandler {
    fn start_queue(&mut self, queue: Queue, cx: &mut Context<'_>) -> Result<(), StartQueueError> {
        let index = queue.index();
        match role(index) {
            Role::ControlReceive => self.control.receive = Some(queue),
            Role::ControlTransmit => self.control.transmit = Some(queue),
            Role::Port(number, direction) => {
                // There are no more queues than the ports need.
                let Some(port) = self.ports.get_mut(number) else { return Ok(()) };
                port.start(direction, queue, cx).map_err(|source| StartQueueError::Host {
                    operation: "watch the console's stream",
                    index,
                    source,
                })?;
            }
        }
        Ok(())
    }

    fn stop_queue(&mut self, index: u16, cx: &mut Context<'_>) -> Option<QueueState> {
        match role(index) {
            Role::ControlReceive => self.control.receive.take().map(|q| q.state()),
            Role::ControlTransmit => self.control.transmit.take().map(|q| q.state()),
            Role::Port(number, direction) => self.ports.get_mut(number)?.stop(direction, cx),
        }
    }

    fn kicked(&mut self, index: u16, cx: &mut Context<'_>) {
        match role(index) {
            Role::ControlReceive => self.control.deliver(cx),
            Role::ControlTransmit => self.take_control(cx),
            Role::Port(number, direction) => {
                if let Some(port) = self.ports.get_mut(number) {
                    port.kicked(direction, cx);
                }
            }
        }
    }

    fn ready(&mut self, token: u32, _: EventSet, cx: &mut Context<'_>) {
        if let Some(port) = self.ports.get_mut(token as usize) {
            port.ready(cx);
        }
    }
}
