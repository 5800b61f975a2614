//! HTTP/1.1 on a stream, as little of it as an API on a local socket needs.
//!
//! Written by hand over the `httparse` crate because of what a server must refuse, and say why, in
//! the API's own shape of errors: two lengths for one body, a head that comes one byte a second, a
//! body beyond the limit. A body has a `Content-Length`; chunked ones are refused with 411.

mod connection;
mod fault;
mod head;
mod response;

pub use connection::{Answer, Connection, Limits, Request};
pub use fault::HttpFault;
pub use head::Head;
pub use response::{Body, Response, Status};
