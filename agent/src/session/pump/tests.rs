use std::os::unix::net::UnixStream;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;

fn socket() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours.into(), theirs)
}

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
}

#[test]
fn a_full_sink_blocks_and_loses_nothing() {
    let (source, input) = pipe();
    let (sink, mut output) = socket();
    let mut pump = Pump::splicing(source, sink);
    let mut input = File::from(input);
    let mut written = 0_usize;
    // Until the pipe stays full because the socket is.
    loop {
        match input.write(&[7; 4096]) {
            Ok(length) => written += length,
            Err(_) if pump.run() == Flow::Blocked => match input.write(&[7; 4096]) {
                Ok(length) => written += length,
                Err(_) => break,
            },
            Err(_) => {}
        }
    }
    drop(input);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        bytes
    });
    while pump.run() != Flow::Ended {}
    drop(pump);
    assert_eq!(reader.join().unwrap(), vec![7; written]);
}

#[test]
fn a_command_that_closed_its_input_ends_the_pump() {
    let (source, mut input) = socket();
    let (theirs, sink) = pipe();
    let mut pump = Pump::splicing(source, sink);
    drop(theirs);
    input.write_all(b"unwanted").unwrap();
    assert_eq!(pump.run(), Flow::Ended);
}

#[test]
fn copying_writes_what_it_has_read_before_it_ends() {
    let (source, mut input) = socket();
    let (sink, mut output) = socket();
    let mut pump = Pump::copying(source, sink);
    input.write_all(b"last words").unwrap();
    drop(input);
    assert_eq!(pump.run(), Flow::Ended);
    drop(pump);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
}

#[test]
fn one_turn_is_bounded() {
    let (source, mut input) = socket();
    let (sink, mut output) = socket();
    let mut pump = Pump::copying(source, sink);
    let feeder = std::thread::spawn(move || input.write_all(&[1; 1 << 20]).is_ok());
    let drain = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    let mut turns = 0;
    while pump.run() != Flow::Ended {
        turns += 1;
    }
    drop(pump);
    assert!(feeder.join().unwrap());
    assert_eq!(drain.join().unwrap(), 1 << 20);
    assert!(turns >= (1 << 20) / (COPY * TURN));
}
