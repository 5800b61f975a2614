//! The devices at fixed ports.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use devices::bus::{Bus, BusError};
use devices::char::{Backend, GuestEnd, Stream, StreamError};
use devices::interrupt::Gsi;
use devices::legacy::{
    AcpiPower, BootTimer, I8042, Pvpanic, SerialInput, SerialPort, acpi_power, boot_timer, i8042,
    pvpanic, serial,
};
use devices::rate_limiter::TokenBucket;
use vm_spec::{Serial, StreamSpec};

use super::device_set::DeviceSet;
use super::places::{EVENT_GSI, KEYBOARD_GSI, POWER_PORTS};
use super::virtio::bucket;
use crate::machine::{Foundation, Phase};

/// Bytes of output that are kept for clients that attach later.
const DEFAULT_RING: usize = 64 << 10;

/// Why a device at a fixed port cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// An interrupt line or event.
    #[error("failed to make the interrupt of {device}")]
    Interrupt {
        /// The device.
        device: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A port is taken.
    #[error(transparent)]
    Port(#[from] BusError),
    /// The stream behind the serial port.
    #[error("failed to serve the stream of the serial port")]
    Stream(#[from] StreamError),
}

fn interrupt(device: &'static str) -> impl Fn(io::Error) -> LegacyError {
    move |source| LegacyError::Interrupt { device, source }
}

/// Power registers and keyboard controller, which every machine has.
pub(super) fn power(
    foundation: &Foundation,
    ports: &mut Bus,
) -> Result<(Arc<AcpiPower>, Arc<I8042>), LegacyError> {
    let requests = foundation.guest_requests();
    let line = foundation.irq_line(Gsi(EVENT_GSI)).map_err(interrupt("the power registers"))?;
    let power = Arc::new(AcpiPower::new(line, Arc::clone(&requests)));
    ports.insert("ACPI power", u64::from(POWER_PORTS), acpi_power::PORTS, power.clone())?;
    let line = foundation.irq_line(Gsi(KEYBOARD_GSI)).map_err(interrupt("the keyboard"))?;
    let keyboard = Arc::new(I8042::new(line, Arc::clone(&requests)));
    ports.insert("i8042", i8042::PORT, i8042::PORTS, keyboard.clone())?;
    ports.insert("pvpanic", pvpanic::PORT, 1, Arc::new(Pvpanic::new(requests)))?;
    Ok((power, keyboard))
}

/// The boot timer, which logs in Firecracker's words.
pub(super) fn add_boot_timer(
    foundation: &Foundation,
    started: Instant,
    ports: &mut Bus,
) -> Result<(), LegacyError> {
    let phases = Arc::clone(foundation.phases());
    let timer = BootTimer::new(move || {
        phases.reach(Phase::Booted);
        let (wall, cpu) = (started.elapsed(), process_time());
        log::info!(
            "Guest-boot-time = {:>6} us {} ms, {:>6} CPU us {} CPU ms",
            wall.as_micros(),
            wall.as_millis(),
            cpu.as_micros(),
            cpu.as_millis(),
        );
    });
    Ok(ports.insert("boot timer", boot_timer::PORT, 1, Arc::new(timer))?)
}

/// Processor time of this process.
fn process_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().unwrap_or_default()
}

/// COM1 and its stream.
pub(super) fn add_serial(
    foundation: &Foundation,
    spec: &Serial,
    backend: Backend,
    set: &mut DeviceSet,
    ports: &mut Bus,
) -> Result<(), LegacyError> {
    let (stream_end, stream) = start_stream(&spec.stream, backend, set)?;
    stream_end.report_panics(foundation.guest_requests());
    let line = foundation.irq_line(Gsi(serial::IRQ)).map_err(interrupt("the serial port"))?;
    let limit = spec.spec.rate_limiter.and_then(|b| TokenBucket::new(bucket(b), Instant::now()));
    let output = Box::new(stream_end.clone());
    let port = SerialPort::new(line, output, limit).map_err(interrupt("the serial port"))?;
    let port = Arc::new(port);
    ports.insert("COM1", serial::PORT, serial::PORTS, port.clone())?;
    let input = SerialInput::new(Arc::clone(&port), stream_end);
    let input = input.map_err(interrupt("the serial port"))?;
    let quiet = set.loops.quiet().map_err(interrupt("the serial port"))?;
    let input = quiet.add(input).map_err(StreamError::Loop)?;
    let started = input.call(SerialInput::start).map_err(StreamError::Loop)?;
    started.map_err(interrupt("the serial port"))?;
    set.streams.insert(spec.id.clone(), stream);
    set.serial = Some(port);
    Ok(())
}

/// Serves the stream of a console on the shared loop.
pub(super) fn start_stream(
    spec: &StreamSpec,
    backend: Backend,
    set: &mut DeviceSet,
) -> Result<(GuestEnd, Stream), LegacyError> {
    let capacity = match spec {
        StreamSpec::Ring { size } => *size as usize,
        _ => DEFAULT_RING,
    };
    let quiet = set.loops.quiet().map_err(interrupt("a console"))?;
    Ok(Stream::start(backend, capacity, &quiet)?)
}
