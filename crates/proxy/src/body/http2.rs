//! A body out on an HTTP/2 stream: only as fast as the peer gives credit, and given up as soon as the peer resets.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use super::BodyError;

/// Why a body did not go out whole.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Its source ended early; the stream was reset, so that nobody takes it for whole (RFC 9113 section 8.1).
    #[error("the body's source broke off")]
    Source(#[source] BodyError),
    /// The peer wants no more of it.
    #[error("the peer reset the stream: {0}")]
    Reset(Reason),
    /// The peer took nothing of it for too long; the stream was reset.
    #[error("the peer took nothing for {0:?}")]
    Stalled(Duration),
    /// The connection is gone.
    #[error("the connection broke off")]
    Connection(#[source] h2::Error),
}

/// Sends `body` to its end, trailers included; waits for the peer's credit, but at no time longer than `patience`.
///
/// Dropping the future resets the stream.
///
/// # Errors
/// As [`SendError`] says; the stream is over in any case.
pub async fn send<B>(mut body: B, stream: &mut SendStream<Bytes>, patience: Option<Duration>) -> Result<(), SendError>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(reset) = stream.poll_reset(cx) {
                return Poll::Ready(Err(reset.map_or_else(SendError::Connection, SendError::Reset)));
            }
            Pin::new(&mut body).poll_frame(cx).map(Ok)
        })
        .await?;
        let frame = match frame {
            None => return stream.send_data(Bytes::new(), true).map_err(SendError::Connection),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Err(SendError::Source(error));
            }
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(data, last, stream, patience).await?;
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                return stream.send_trailers(trailers).map_err(SendError::Connection);
            }
        }
    }
}

async fn send_data(
    mut data: Bytes,
    last: bool,
    stream: &mut SendStream<Bytes>,
    patience: Option<Duration>,
) -> Result<(), SendError> {
    if data.is_empty() && last {
        // The end itself needs no credit.
        return stream.send_data(data, true).map_err(SendError::Connection);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        if stream.capacity() == 0 {
            match credit(stream, patience).await {
                Some(Some(Ok(_))) => {}
                Some(Some(Err(error))) => return Err(SendError::Connection(error)),
                Some(None) => return Err(SendError::Reset(Reason::CANCEL)),
                None => {
                    stream.send_reset(Reason::CANCEL);
                    return Err(SendError::Stalled(patience.unwrap_or_default()));
                }
            }
        }
        let part = data.split_to(stream.capacity().min(data.len()));
        if !part.is_empty() {
            let end = last && data.is_empty();
            stream.send_data(part, end).map_err(SendError::Connection)?;
        }
    }
    Ok(())
}

/// What h2 says when there is some; `None` when there was none for too long.
async fn credit(
    stream: &mut SendStream<Bytes>,
    patience: Option<Duration>,
) -> Option<Option<Result<usize, h2::Error>>> {
    let credit = poll_fn(|cx| stream.poll_capacity(cx));
    match patience {
        Some(patience) => tokio::time::timeout(patience, credit).await.ok(),
        None => Some(credit.await),
    }
}
