//! Allocations under filters. Without the usual harness, which has threads, and arenas of theirs,
//! before the process could be prepared.

#![allow(clippy::print_stdout)]

use std::env;
use std::sync::{Arc, Barrier};
use std::thread;

use jail::seccomp::{ThreadKind, install, prepare};

const NAME: &str = "memory_that_threads_give_back_takes_no_call_that_is_forbidden";

fn main() {
    let arguments: Vec<_> = env::args().collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has("--ignored") {
        // None is.
    } else if has("--list") {
        println!("{NAME}: test");
    } else {
        give_back();
        println!("{NAME} ... ok");
    }
}

/// A forbidden call ends the process.
fn give_back() {
    const THREADS: usize = 12;
    prepare().expect("a process with one thread");
    install(ThreadKind::Main).expect("a filter");
    // All at once, or they would use each other's arena.
    let all_allocate = Arc::new(Barrier::new(THREADS));
    let threads = [(); THREADS].map(|()| {
        let all_allocate = Arc::clone(&all_allocate);
        thread::spawn(move || {
            install(ThreadKind::DeviceLoop).expect("a filter");
            // Below what gets a mapping of its own.
            let blocks: Vec<_> = (0..64u8).map(|byte| vec![byte; 100_000]).collect();
            all_allocate.wait();
            blocks.len()
        })
    });
    for thread in threads {
        assert_eq!(thread.join().expect("it does not panic"), 64);
    }
}
