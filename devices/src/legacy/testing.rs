//! Surroundings that only write down what is asked of them.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::request::{GuestRequest, GuestRequests};
use crate::interrupt::IrqLine;

#[derive(Default)]
pub(super) struct Edges(AtomicUsize);

impl Edges {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl IrqLine for Edges {
    fn trigger(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Requests(Mutex<Vec<GuestRequest>>);

impl Requests {
    pub(super) fn taken(&self) -> Vec<GuestRequest> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl GuestRequests for Requests {
    fn request(&self, request: GuestRequest) {
        self.0.lock().unwrap().push(request);
    }
}
