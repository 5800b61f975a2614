//! The moment of a container's first output.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::container::live::Container;
use crate::container::names;
use crate::start_times::{Point, StartTimes};

/// A stream of a container, whose first byte is noted in the times of its start.
pub(super) struct FirstOutput<R> {
    stream: R,
    id: String,
    /// Gone once a byte was read.
    times: Option<Arc<StartTimes>>,
}

impl<R> FirstOutput<R> {
    pub(super) fn of(container: &Container, stream: R) -> Self {
        let id = names::short_id(&container.id).to_owned();
        Self { stream, id, times: Some(container.start_times()) }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for FirstOutput<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before
            && let Some(times) = self.times.take()
            // An earlier engine started what was found again.
            && times.get(Point::Process).is_some()
            && times.reach(Point::Output)
        {
            log::debug!("container {} has spoken: {times}", self.id);
        }
        Poll::Ready(read)
    }
}
