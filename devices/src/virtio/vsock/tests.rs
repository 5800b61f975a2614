//! The device against a model of a guest and real unix sockets.

mod closing;
mod front;
mod guest;
mod hostile;
mod limits;
mod property;
mod streams;
