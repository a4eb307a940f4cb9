//! Connections that a handler can close without an answer, and that end with their simulator.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Accepts connections that can be closed from within a handler.
pub(super) struct Loopback {
    pub(super) listener: TcpListener,
    /// Cancelling it closes every connection.
    pub(super) stop: CancellationToken,
    pub(super) clock: Arc<dyn Clock>,
}

impl Listener for Loopback {
    type Io = Stream;
    type Addr = Connection;

    async fn accept(&mut self) -> (Stream, Connection) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let closed = self.stop.child_token();
                    let stream = Stream {
                        stream,
                        closed: closed.clone(),
                    };
                    return (stream, Connection(closed));
                }
                // Out of file descriptors, for example: the clients wait meanwhile.
                Err(_) => self.clock.sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Ok(Connection(self.stop.clone()))
    }
}

/// A request's own connection.
#[derive(Clone, Debug)]
pub(super) struct Connection(CancellationToken);

impl Connection {
    /// One that no network is behind.
    pub(super) fn detached() -> Self {
        Self(CancellationToken::new())
    }

    /// Closes it without another octet.
    pub(super) fn close(&self) {
        self.0.cancel();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Says nothing until the client goes away, or the simulator ends.
    pub(super) async fn silence(&self) -> Response {
        self.0.cancelled().await;
        StatusCode::OK.into_response()
    }
}

impl Connected<IncomingStream<'_, Loopback>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A TCP stream that fails once its connection is closed from within. Whoever closes it sees to it
/// that it is polled: a handler by answering, the simulator's end by ending the server task.
pub(super) struct Stream {
    stream: TcpStream,
    closed: CancellationToken,
}

impl Stream {
    fn check(&self) -> io::Result<()> {
        match self.closed.is_cancelled() {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where the simulator listens, once it does.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{address}: the simulator listens on loopback only; use 127.0.0.1 or [::1]"),
        ));
    }
    TcpListener::bind(address).await
}
