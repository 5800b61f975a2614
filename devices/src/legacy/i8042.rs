//! The keyboard controller, as far as kernels without a keyboard use it: a restart through its
//! reset line, and Ctrl-Alt-Del typed by the monitor.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use log::error;

use super::request::{GuestRequest, GuestRequests};
use crate::bus::BusDevice;
use crate::interrupt::IrqLine;

/// First port; the device has five, of which the first and the last answer.
pub const PORT: u64 = 0x60;
/// Number of ports.
pub const PORTS: u64 = 5;
const DATA: u64 = 0;
const STATUS: u64 = 4;

/// Status: the guest can read a byte.
const OUTPUT_FULL: u8 = 1 << 0;
/// Status: the last write was a command.
const COMMAND_WRITTEN: u8 = 1 << 3;
/// Status: the keyboard is not locked.
const UNLOCKED: u8 = 1 << 4;

/// Configuration: interrupt when a byte of the keyboard can be read.
const KEYBOARD_INTERRUPT: u8 = 1 << 0;
/// Output port: the processors are not held in reset, and the keyboard's lines are idle.
const OUTPUT_PORT: u8 = 0xcf;

const READ_CONFIGURATION: u8 = 0x20;
const WRITE_CONFIGURATION: u8 = 0x60;
const SELF_TEST: u8 = 0xaa;
const TEST_KEYBOARD: u8 = 0xab;
const READ_OUTPUT_PORT: u8 = 0xd0;
const WRITE_OUTPUT_PORT: u8 = 0xd1;
const RESET: u8 = 0xfe;

/// What a keyboard answers to every command.
const KEYBOARD_ACK: u8 = 0xfa;
/// Control, Alt and Delete pressed, in scan code set 2.
const CTRL_ALT_DEL: [u8; 4] = [0x14, 0x11, 0xe0, 0x71];
/// The same keys let go.
const RELEASES: [u8; 7] = [0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14];
/// Bytes for the guest; more are dropped.
const QUEUE: usize = 16;

#[derive(Debug, Default)]
struct State {
    configuration: u8,
    /// The command whose parameter the next data byte is.
    command: Option<u8>,
    last_was_command: bool,
    output: VecDeque<u8>,
}

/// The controller.
pub struct I8042 {
    state: Mutex<State>,
    line: Arc<dyn IrqLine>,
    requests: Arc<dyn GuestRequests>,
}

impl I8042 {
    /// A controller that interrupts on `line` and passes a restart on to `requests`.
    pub fn new(line: Arc<dyn IrqLine>, requests: Arc<dyn GuestRequests>) -> Self {
        let state = State { configuration: KEYBOARD_INTERRUPT, ..State::default() };
        Self { state: Mutex::new(state), line, requests }
    }

    /// Types Ctrl-Alt-Del. Lost if the guest does not read its keyboard.
    pub fn press_ctrl_alt_del(&self) {
        let mut state = self.lock();
        if state.output.len() + CTRL_ALT_DEL.len() + RELEASES.len() <= QUEUE {
            state.output.extend(CTRL_ALT_DEL);
            state.output.extend(RELEASES);
        }
        self.interrupt(&state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts if there is something to read and the guest wants to know.
    fn interrupt(&self, state: &State) {
        if !state.output.is_empty()
            && state.configuration & KEYBOARD_INTERRUPT != 0
            && let Err(e) = self.line.trigger()
        {
            error!("failed to raise the keyboard's interrupt: {e}");
        }
    }

    fn command(&self, state: &mut State, command: u8) {
        state.last_was_command = true;
        state.command = None;
        match command {
            RESET => self.requests.request(GuestRequest::Reset),
            READ_CONFIGURATION => answer(state, state.configuration),
            READ_OUTPUT_PORT => answer(state, OUTPUT_PORT),
            SELF_TEST => answer(state, 0x55),
            TEST_KEYBOARD => answer(state, 0x00),
            WRITE_CONFIGURATION | WRITE_OUTPUT_PORT => state.command = Some(command),
            _ => {}
        }
    }

    fn data(&self, state: &mut State, value: u8) {
        state.last_was_command = false;
        match state.command.take() {
            Some(WRITE_CONFIGURATION) => state.configuration = value,
            Some(_) => {}
            None => {
                answer(state, KEYBOARD_ACK);
                self.interrupt(state);
            }
        }
    }
}

fn answer(state: &mut State, byte: u8) {
    if state.output.len() < QUEUE {
        state.output.push_back(byte);
    }
}

impl BusDevice for I8042 {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let [value] = data else { return };
        let mut state = self.lock();
        match offset {
            DATA => {
                *value = state.output.pop_front().unwrap_or(0);
                self.interrupt(&state);
            }
            STATUS => {
                let full = if state.output.is_empty() { 0 } else { OUTPUT_FULL };
                let command = if state.last_was_command { COMMAND_WRITTEN } else { 0 };
                *value = UNLOCKED | full | command;
            }
            _ => {}
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let [value] = *data else { return };
        let mut state = self.lock();
        match offset {
            DATA => self.data(&mut state, value),
            STATUS => self.command(&mut state, value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Edges, Requests};
    use super::*;

    fn controller() -> (I8042, Arc<Edges>, Arc<Requests>) {
        let (line, requests) = (Arc::<Edges>::default(), Arc::<Requests>::default());
        (I8042::new(line.clone(), requests.clone()), line, requests)
    }

    fn read(device: &I8042, offset: u64) -> u8 {
        let mut data = [0xff];
        device.read(offset, &mut data);
        data[0]
    }

    #[test]
    fn reset_command_restarts() {
        let (device, _, requests) = controller();
        device.write(STATUS, &[RESET]);
        assert_eq!(requests.taken(), [GuestRequest::Reset]);
    }

    #[test]
    fn configuration_is_read_back_as_written() {
        let (device, ..) = controller();
        device.write(STATUS, &[WRITE_CONFIGURATION]);
        device.write(DATA, &[0x40]);
        device.write(STATUS, &[READ_CONFIGURATION]);
        assert_eq!(read(&device, STATUS) & OUTPUT_FULL, OUTPUT_FULL);
        assert_eq!(read(&device, DATA), 0x40);
        assert_eq!(read(&device, STATUS) & OUTPUT_FULL, 0);
    }

    #[test]
    fn ctrl_alt_del_is_read_key_by_key() {
        let (device, line, _) = controller();
        device.press_ctrl_alt_del();
        let typed: Vec<_> = (0..11).map(|_| read(&device, DATA)).collect();
        assert_eq!(typed[..4], CTRL_ALT_DEL);
        assert_eq!(typed[4..], RELEASES);
        assert_eq!(line.count(), 11, "one interrupt for each byte");
    }

    #[test]
    fn bytes_that_nobody_reads_are_bounded() {
        let (device, ..) = controller();
        for _ in 0..100 {
            device.press_ctrl_alt_del();
            device.write(DATA, &[0xed]);
        }
        assert!(device.lock().output.len() <= QUEUE);
    }

    #[test]
    fn masked_keyboard_does_not_interrupt() {
        let (device, line, _) = controller();
        device.write(STATUS, &[WRITE_CONFIGURATION]);
        device.write(DATA, &[0]);
        device.press_ctrl_alt_del();
        assert_eq!(line.count(), 0);
    }
}
