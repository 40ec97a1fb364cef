//! Many small writes of one poll leave as one: one system call, and with TLS one record.
//!
//! h2 writes every DATA frame of 256 bytes or more by itself. A connection with 32 answers ready so made 32 writes, and
//! that was the larger part of what HTTP/2 cost. Here the writes of one poll are gathered, and go out when the
//! connection's task has been polled to its end ([`Drain::poll_drain`]); until then `poll_flush` says that it is done.
//!
//! Large pieces are not copied: they pass as they are, behind what was gathered before them.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the protocol writes to.
#[derive(Debug)]
pub struct Gathered<S>(Rc<RefCell<Io<S>>>);

/// What the connection's task drains.
#[derive(Debug)]
pub struct Drain<S>(Rc<RefCell<Io<S>>>);

#[derive(Debug)]
struct Io<S> {
    stream: S,
    waiting: BytesMut,
    received: u64,
}

/// Both ends over one stream.
pub fn gathered<S>(stream: S) -> (Gathered<S>, Drain<S>) {
    let io = Rc::new(RefCell::new(Io { stream, waiting: BytesMut::new(), received: 0 }));
    (Gathered(Rc::clone(&io)), Drain(io))
}

impl<S> Drain<S> {
    /// Bytes that have come so far.
    pub fn received(&self) -> u64 {
        self.0.borrow().received
    }
}

impl<S: AsyncWrite + Unpin> Drain<S> {
    /// Writes what was gathered, and flushes it. To be called at the end of every poll of the connection, with its
    /// waker: pending only means that the peer takes no more for now.
    ///
    /// # Errors
    /// As the stream says.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = self.0.borrow_mut();
        ready!(io.poll_drain(cx))?;
        Pin::new(&mut io.stream).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> Io<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.waiting.advance(written),
            }
        }
        if self.waiting.capacity() > KEPT {
            // A burst's room is given back; an idle connection keeps next to nothing.
            self.waiting = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Room for `length` more bytes, made if need be.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<()>> {
        if self.waiting.len() + length > MOST { self.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let io = &mut *self.0.borrow_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut io.stream).poll_read(cx, buf);
        io.received += u64::try_from(buf.filled().len() - before).unwrap_or(0);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = &mut *self.0.borrow_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        ready!(io.poll_room(cx, length))?;
        if length > LARGE {
            ready!(io.poll_drain(cx))?;
            return Pin::new(&mut io.stream).poll_write_vectored(cx, bufs);
        }
        bufs.iter().for_each(|buf| io.waiting.extend_from_slice(buf));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &mut *self.0.borrow_mut();
        ready!(io.poll_drain(cx))?;
        Pin::new(&mut io.stream).poll_shutdown(cx)
    }
}

/// Writes pieces; short ones are joined first, since `send` costs the system less than `writev`.
///
/// # Errors
/// As the stream says.
pub fn poll_write_pieces<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [only] = pieces {
        return stream.poll_write(cx, only);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > SHORT {
        return stream.poll_write_vectored(cx, pieces);
    }
    let mut joined = [MaybeUninit::uninit(); SHORT];
    let mut joined = ReadBuf::uninit(&mut joined);
    pieces.iter().for_each(|piece| joined.put_slice(piece));
    stream.poll_write(cx, joined.filled())
}

/// What is joined at most.
const SHORT: usize = 4 * 1024;
/// What is gathered before the peer has to take some of it.
const MOST: usize = 64 * 1024;
/// A write of more than this passes uncopied.
const LARGE: usize = 8 * 1024;
/// What stays allocated between bursts.
const KEPT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes what it is let take, and remembers each write.
    #[derive(Default)]
    struct Peer {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncWrite for Peer {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn pair(room: usize) -> (Gathered<Peer>, Drain<Peer>, Context<'static>) {
        let (writer, drain) = gathered(Peer { room, ..Peer::default() });
        (writer, drain, Context::from_waker(Waker::noop()))
    }

    #[test]
    fn writes_of_one_poll_leave_as_one_and_in_order() {
        let (mut writer, drain, mut cx) = pair(usize::MAX);
        for part in ["a", "bc", "def"] {
            assert!(matches!(Pin::new(&mut writer).poll_write(&mut cx, part.as_bytes()), Poll::Ready(Ok(_))));
            assert!(Pin::new(&mut writer).poll_flush(&mut cx).is_ready());
        }
        assert!(drain.0.borrow().stream.writes.is_empty(), "nothing leaves before the end of the poll");
        assert!(drain.poll_drain(&mut cx).is_ready());
        assert_eq!(drain.0.borrow().stream.writes, [b"abcdef"]);
    }

    #[test]
    fn large_writes_pass_behind_what_waits() {
        let (mut writer, drain, mut cx) = pair(usize::MAX);
        assert!(Pin::new(&mut writer).poll_write(&mut cx, b"head").is_ready());
        let large = vec![7; LARGE + 1];
        assert!(Pin::new(&mut writer).poll_write(&mut cx, &large).is_ready());
        assert_eq!(drain.0.borrow().stream.writes, [b"head".to_vec(), large]);
    }

    #[test]
    fn a_peer_that_takes_nothing_bounds_what_waits() {
        let (mut writer, drain, mut cx) = pair(3);
        let part = [1; 1000];
        let accepted = (0..1000).take_while(|_| Pin::new(&mut writer).poll_write(&mut cx, &part).is_ready()).count();
        assert_eq!(accepted, MOST / part.len(), "at the bound: taken; over it: refused");
        assert!(drain.poll_drain(&mut cx).is_pending());
        drain.0.borrow_mut().stream.room = usize::MAX;
        assert!(drain.poll_drain(&mut cx).is_ready());
        let written: usize = drain.0.borrow().stream.writes.iter().map(Vec::len).sum();
        assert_eq!(written, accepted * part.len(), "nothing is lost");
    }
}
