//! Request bodies: bounded in bytes, in time, and all together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::problem::Problem;

/// The budget is counted in blocks, since a semaphore counts in `u32`.
const BLOCK_BYTES: usize = 1 << 10;
/// A refused sender that is still writing may see its connection reset before it has read why. So what it
/// sends is read and thrown away, up to here.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many bytes all bodies that are being read may take together.
pub(crate) struct BodyBudget {
    blocks: Arc<Semaphore>,
    total: usize,
}

/// Room for one body.
pub(crate) struct Reservation {
    limit: usize,
    noun: &'static str,
    expected: usize,
    _blocks: OwnedSemaphorePermit,
}

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = (bytes / BLOCK_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        BodyBudget { blocks: Arc::new(Semaphore::new(total)), total }
    }

    /// Room for a body of the length that its headers announce, or of `limit` bytes if they don't.
    pub(crate) fn reserve(
        &self,
        headers: &HeaderMap,
        limit: usize,
        noun: &'static str,
    ) -> Result<Reservation, Problem> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > limit) {
            return Err(too_large(noun, limit));
        }
        let expected = length.unwrap_or(0);
        // One that is larger than the whole budget may still be read, alone.
        let blocks = length.unwrap_or(limit).div_ceil(BLOCK_BYTES).clamp(1, self.total);
        let blocks = self.blocks.clone().try_acquire_many_owned(blocks as u32);
        let _blocks = blocks.map_err(|_| {
            Problem::busy("as many bytes as the host may hold are being received", RETRY_AFTER)
        })?;
        Ok(Reservation { limit, noun, expected, _blocks })
    }
}

impl Reservation {
    /// Reads the body whole.
    pub(crate) async fn read(self, mut body: Body, timeout: Duration) -> Result<Bytes, Problem> {
        match tokio::time::timeout(timeout, self.collect(&mut body)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(problem)) => {
                linger(body).await;
                Err(problem)
            }
            Err(_) => Err(Problem::too_slow(timeout)),
        }
    }

    async fn collect(&self, body: &mut Body) -> Result<Bytes, Problem> {
        let mut collected = BytesMut::with_capacity(self.expected);
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
            // Trailers mean nothing here.
            let Ok(data) = frame.into_data() else { continue };
            if collected.len() + data.len() > self.limit {
                return Err(too_large(self.noun, self.limit));
            }
            collected.extend_from_slice(&data);
        }
        Ok(collected.freeze())
    }
}

/// Reads on, up to a bound in bytes and in time, and throws it away.
pub(crate) async fn linger(mut body: Body) {
    if body.is_end_stream() {
        return;
    }
    let drain = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended in time makes no difference.
    let _ = tokio::time::timeout(LINGER, drain).await;
}

fn too_large(noun: &str, limit: usize) -> Problem {
    Problem::too_large(format!("{noun} may be {limit} bytes long"))
}
