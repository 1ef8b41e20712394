//! A stream that is lent to the client library for the login, and taken back afterwards.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A socket under TLS.
type Secured = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;
type Connector = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

/// The borrower's end. It answers `NotConnected` once the stream is taken back.
pub(super) struct Lent<S>(Arc<Mutex<Option<S>>>);

/// The owner's end.
pub(super) struct Owner<S>(Arc<Mutex<Option<S>>>);

impl<S> Lent<S> {
    pub(super) fn lend(stream: S) -> (Self, Owner<S>) {
        let place = Arc::new(Mutex::new(Some(stream)));
        (Self(Arc::clone(&place)), Owner(place))
    }

    fn with<T>(&self, act: impl FnOnce(&mut S) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }
}

impl<S> Owner<S> {
    /// The stream; `None` when it was never lent.
    pub(super) fn take_back(self) -> Option<S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn not_there<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| Pin::new(stream).poll_read(cx, buf)).unwrap_or_else(not_there)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| Pin::new(stream).poll_write(cx, buf)).unwrap_or_else(not_there)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| Pin::new(stream).poll_flush(cx)).unwrap_or_else(not_there)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| Pin::new(stream).poll_shutdown(cx)).unwrap_or_else(not_there)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Lent<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.with(|stream| stream.channel_binding()).unwrap_or_else(ChannelBinding::none)
    }
}

/// TLS whose stream is lent.
pub(super) struct Lending {
    connector: Connector,
    place: Arc<Mutex<Option<Secured>>>,
}

impl Lending {
    /// TLS to this host, and the owner's end of its stream.
    pub(super) fn new(tls: &MakeRustlsConnect, host: &str) -> Option<(Self, Owner<Secured>)> {
        let place = Arc::new(Mutex::new(None));
        let connector = Self::connector(tls, host)?;
        Some((Self { connector, place: Arc::clone(&place) }, Owner(place)))
    }

    /// TLS to this host.
    pub(super) fn connector(tls: &MakeRustlsConnect, host: &str) -> Option<Connector> {
        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), host).ok()
    }
}

impl TlsConnect<TcpStream> for Lending {
    type Stream = Lent<Secured>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Lent<Secured>>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let secured = self.connector.connect(stream).await?;
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(secured);
            Ok(Lent(self.place))
        })
    }
}
