//! Requests that are no HTTP, or more than is allowed.

use thiserror::Error;

use super::Status;

/// A request that cannot be answered otherwise. The connection is closed after it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HttpFault {
    /// The head is not HTTP/1.
    #[error("Invalid HTTP request: {0}.")]
    Syntax(String),
    /// The head is too large.
    #[error("Request head is larger than the limit of {0} bytes allowed by server.")]
    HeadTooLarge(usize),
    /// The length of the body is not one number.
    #[error("Invalid Content-Length header.")]
    ContentLength,
    /// The body has two lengths.
    #[error("A request cannot have both Content-Length and Transfer-Encoding.")]
    TwoLengths,
    /// The body is chunked or otherwise coded.
    #[error("Transfer-Encoding is not supported, a body needs a Content-Length.")]
    LengthRequired,
    /// The body is too large.
    #[error(
        "Request payload with size {length} is larger than the limit of {limit} allowed by server."
    )]
    BodyTooLarge {
        /// Its length in bytes.
        length: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request did not come in time.
    #[error("The request was not received in time.")]
    Timeout,
    /// There are too many connections.
    #[error("Too many open connections.")]
    Busy,
}

impl HttpFault {
    /// The status of the answer.
    pub fn status(&self) -> Status {
        match self {
            Self::Syntax(_) | Self::HeadTooLarge(_) | Self::ContentLength | Self::TwoLengths => {
                Status::BadRequest
            }
            Self::LengthRequired => Status::LengthRequired,
            Self::BodyTooLarge { .. } => Status::PayloadTooLarge,
            Self::Timeout => Status::RequestTimeout,
            Self::Busy => Status::ServiceUnavailable,
        }
    }
}
