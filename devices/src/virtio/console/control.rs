//! Control messages: which ports there are, and who has them open (VIRTIO 1.3 §5.3.6.2).
//!
//! ```text
//!  driver: DEVICE_READY      device: DEVICE_ADD for each port
//!  driver: PORT_READY n      device: CONSOLE_PORT n or PORT_NAME n, PORT_OPEN n
//!  driver: PORT_OPEN n       input may flow
//! ```
//!
//! What the driver is to hear is kept as a set for each port, not as a list: it is bounded
//! whatever the driver asks.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::config::ConsoleSize;
use super::port::BURST;
use crate::virtio::event_loop::Context;
use crate::virtio::queue::Queue;

/// The driver is ready (1) or failed.
const DEVICE_READY: u16 = 0;
/// There is a port.
const DEVICE_ADD: u16 = 1;
/// The driver has made the port (1) or failed.
const PORT_READY: u16 = 3;
/// The port is a console.
const CONSOLE_PORT: u16 = 4;
/// The terminal of a console has another size.
const RESIZE: u16 = 5;
/// The port was opened (1) or closed (0) on the sender's side.
const PORT_OPEN: u16 = 6;
/// The port has a name, which follows.
const PORT_NAME: u16 = 7;

/// `struct virtio_console_control`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Message {
    id: U32,
    event: U16,
    value: U16,
}

bitflags! {
    /// What the driver is to hear about a port; in this order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Due: u8 {
        const ADD = 1;
        const KIND = 2;
        const OPEN = 4;
        const SIZE = 8;
    }
}

/// A port as the driver knows it.
struct Contact {
    /// `None`: it is the console.
    name: Option<String>,
    due: Due,
    /// Whether the driver has made it.
    ready: bool,
    /// Whether somebody in the guest has it open.
    open: bool,
}

impl Contact {
    fn new(name: Option<String>) -> Self {
        Self { name, due: Due::empty(), ready: false, open: false }
    }

    fn begin(&mut self, due: Due) {
        (self.due, self.ready, self.open) = (due, false, false);
    }
}

/// The control queues and what is said there.
pub(super) struct Control {
    pub(super) receive: Option<Queue>,
    pub(super) transmit: Option<Queue>,
    contacts: Vec<Contact>,
    size: ConsoleSize,
}

impl Control {
    /// The console, and a port for each of `names`.
    pub(super) fn new(names: Vec<String>) -> Self {
        let named = names.into_iter().map(|name| Contact::new(Some(name)));
        let contacts = std::iter::once(Contact::new(None)).chain(named).collect();
        Self { receive: None, transmit: None, contacts, size: ConsoleSize::default() }
    }

    pub(super) fn reset(&mut self) {
        self.contacts.iter_mut().for_each(|c| c.begin(Due::empty()));
    }

    /// Whether somebody in the guest has the port open.
    pub(super) fn is_open(&self, port: usize) -> bool {
        self.contacts.get(port).is_some_and(|c| c.open)
    }

    /// Takes note of the console's size, of which the driver is to hear.
    pub(super) fn resize(&mut self, size: ConsoleSize) {
        self.size = size;
        if let Some(console) = self.contacts.first_mut().filter(|c| c.ready) {
            console.due |= Due::SIZE;
        }
    }

    /// Takes what the driver says.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) {
        let Some(queue) = &mut self.transmit else { return };
        for _ in 0..BURST {
            let Some(mut chain) = queue.next() else { return queue.signal() };
            let message = chain.readable.take::<Message>();
            if !message.is_ok_and(|message| hear(&mut self.contacts, message)) {
                queue.metrics().malformed.increment();
            }
            queue.complete(chain.head, 0);
        }
        queue.signal();
        cx.kick_again(queue.index());
    }

    /// Says what the driver is to hear, as far as it offers buffers.
    pub(super) fn deliver(&mut self, cx: &mut Context<'_>) {
        let Some(queue) = &mut self.receive else { return };
        for _ in 0..BURST {
            let next = (0..).zip(&mut self.contacts).find(|(_, c)| !c.due.is_empty());
            let Some((id, contact)) = next else { return queue.signal() };
            let Some(due) = contact.due.iter().next() else { return queue.signal() };
            let Some(chain) = queue.next() else { return queue.signal() };
            let message = compose(id, contact, due, self.size);
            let fits = chain.writable.len() >= message.len();
            if fits && chain.writable.copy_from(&message).is_ok() {
                contact.due.remove(due);
                queue.metrics().bytes_to_guest.add(message.len() as u64);
                // A header and a name of some bytes.
                queue.complete(chain.head, message.len() as u32);
            } else {
                queue.metrics().malformed.increment();
                queue.complete(chain.head, 0);
            }
        }
        queue.signal();
        cx.kick_again(queue.index());
    }
}

/// Does what a message of the driver means; `false` if it means nothing.
fn hear(contacts: &mut [Contact], message: Message) -> bool {
    let value = message.value.get();
    if message.event.get() == DEVICE_READY {
        let due = if value == 1 { Due::ADD } else { Due::empty() };
        contacts.iter_mut().for_each(|c| c.begin(due));
        return true;
    }
    let contact = usize::try_from(message.id.get()).ok().and_then(|id| contacts.get_mut(id));
    match (contact, message.event.get()) {
        (Some(contact), PORT_READY) => {
            let due = if value == 1 { Due::KIND | Due::OPEN } else { Due::empty() };
            contact.ready = value == 1;
            contact.due |= due;
        }
        (Some(contact), PORT_OPEN) => contact.open = value == 1,
        _ => return false,
    }
    true
}

fn compose(id: u32, contact: &Contact, due: Due, size: ConsoleSize) -> Vec<u8> {
    let named = |name: &String| (PORT_NAME, 1, name.clone().into_bytes());
    let (event, value, rest) = match due {
        Due::ADD => (DEVICE_ADD, 0, Vec::new()),
        Due::KIND => contact.name.as_ref().map_or((CONSOLE_PORT, 1, Vec::new()), named),
        // Output is always taken, and input may come at any time.
        Due::OPEN => (PORT_OPEN, 1, Vec::new()),
        _ => {
            let (columns, rows) = (size.columns.to_le_bytes(), size.rows.to_le_bytes());
            (RESIZE, 0, [columns, rows].concat())
        }
    };
    let header = Message { id: id.into(), event: event.into(), value: value.into() };
    [header.as_bytes(), &rest].concat()
}
