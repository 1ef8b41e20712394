//! The body of a request, which comes within a time.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// A body that fails once its time is over.
pub(super) struct Timely {
    body: Incoming,
    time: Pin<Box<Sleep>>,
    late: Late,
}

/// Whether a body took too long.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Timely {
    /// The body, which has `limit` from now on; and what tells later whether that was enough.
    pub(super) fn new(body: Incoming, limit: Duration) -> (Self, Late) {
        let late = Late::default();
        (Self { body, time: Box::pin(sleep(limit)), late: late.clone() }, late)
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending if self.time.as_mut().poll(context).is_ready() => {
                self.late.0.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err("the body took too long".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
