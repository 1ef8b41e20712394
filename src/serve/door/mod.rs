//! The listener: who comes in, how many, and how long each may take to say what they want.
//!
//! One task for each connection, in a set that the door owns: they end when it ends.

mod body;
mod places;
mod tls;

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::body::Timely;
use self::places::Places;
use self::tls::Tls;
use super::auth::{Asked, Gate, Peer, read_certificate};
use super::problem::Problem;
use crate::error::Result;
use crate::spec::access::Access;
use crate::spec::listen;

/// Most bytes of the request line and all headers together.
const HEADER_BYTES: usize = 16 << 10;
/// Most headers of a request.
const HEADERS: usize = 64;
/// Most bytes of a body that may be announced: those of the largest document. Each route has a limit of its own below it.
const BODY_BYTES: u64 = 1 << 20;
/// Most bytes of a connection that are held in memory before they are looked at; what hyper needs at least is 8 KiB.
const BUFFER_BYTES: usize = 32 << 10;
/// How long an answer may lie unread at the other end.
const UNREAD_LIMIT: Duration = Duration::from_secs(30);
/// How often certificates are looked at, and what was only counted is recorded.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait where no connection can be taken, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection too many is told, where it can be told: a problem, as everybody is.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 201\r\n\r\n\
    {\"type\":\"urn:sealift:problem:connections\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"too many connections are open, or too many from where this one comes\",\
    \"help\":\"try again in a few seconds\"}";

/// What connections and requests may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most connections at once, half of them from one address that is not this machine; one more is told 503, or,
    /// under TLS, closed.
    pub connections: usize,
    /// How long the handshake of TLS may take.
    pub handshake: Duration,
    /// How long the headers of a request may take, from the begin of the connection or the end of the request before: an
    /// idle connection is closed after this time as well.
    pub headers: Duration,
    /// How long the body of a request may take.
    pub body: Duration,
    /// Requests that are answered at the same time, those that wait among them; one more is told 503.
    pub requests: usize,
    /// Requests of one caller in a second, for as long as it likes; one more is told 429.
    pub per_second: NonZeroU32,
    /// Requests of one caller at once after a rest.
    pub burst: NonZeroU32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(20),
            body: Duration::from_secs(20),
            requests: 1024,
            per_second: number(1000),
            burst: number(2000),
        }
    }
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// How clients come in. By default over plain HTTP, with tokens only.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// TLS of the API.
    pub tls: Option<listen::Tls>,
    /// Who beside the holders of tokens is let in.
    pub access: Access,
    /// What connections and requests may take.
    pub bounds: Bounds,
}

/// The listener.
pub(super) struct Door {
    listener: TcpListener,
    inside: Arc<Inside>,
    asked: watch::Receiver<u64>,
    stop: CancellationToken,
}

/// What every connection needs.
struct Inside {
    router: Router,
    gate: Gate,
    tls: Option<Tls>,
    bounds: Bounds,
}

impl Door {
    /// A change of `asked` has the certificates read at once.
    ///
    /// # Errors
    /// `Invalid` when the certificates cannot be used.
    pub(super) fn new(
        listener: TcpListener,
        entrance: Entrance,
        router: Router,
        gate: Gate,
        asked: watch::Receiver<u64>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let tls = entrance.tls.map(Tls::open).transpose()?;
        let inside = Arc::new(Inside { router, gate, tls, bounds: entrance.bounds });
        Ok(Self { listener, inside, asked, stop })
    }

    /// Takes connections until it is told to stop, then lets each end the request it is at.
    pub(super) async fn serve(self) {
        let Self { listener, inside, asked, stop } = self;
        let places = Places::new(inside.bounds.connections);
        let mut connections = JoinSet::new();
        let mut upkeep = pin!(keep(&inside, asked));
        loop {
            let (stream, address) = tokio::select! {
                () = stop.cancelled() => break,
                () = &mut upkeep => continue,
                Some(ended) = connections.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        tracing::error!("a connection ended by a fault in the program");
                    }
                    continue;
                }
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(kind = %error.kind(), "a connection cannot be taken");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Some(place) = places.take(address.ip()) else {
                if inside.tls.is_none() {
                    let _ = stream.try_write(FULL);
                }
                continue;
            };
            let (inside, stop) = (Arc::clone(&inside), stop.clone());
            connections.spawn(async move {
                inside.connection(stream, address, &stop).await;
                drop(place);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        inside.gate.end().await;
    }
}

/// What is done now and then, and when it is asked for, for as long as it is awaited.
async fn keep(inside: &Arc<Inside>, mut asked: watch::Receiver<u64>) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            Ok(()) = asked.changed() => {}
        }
        if inside.tls.is_some() {
            let inside = Arc::clone(inside);
            let _ = tokio::task::spawn_blocking(move || inside.tls.as_ref().map(Tls::renew)).await;
        }
        inside.gate.tell(false).await;
    }
}

impl Inside {
    async fn connection(&self, stream: TcpStream, address: SocketAddr, stop: &CancellationToken) {
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_LIMIT));
        let address = address.ip().to_canonical();
        let Some(tls) = &self.tls else {
            return self.requests(stream, Peer { address, certificate: None }, stop.cancelled()).await;
        };
        let (config, mut changes) = tls.config();
        let handshake = timeout(self.bounds.handshake, TlsAcceptor::from(config).accept(stream));
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            shaken = handshake => match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return self.refused(address, &error).await,
                Err(_) => return,
            },
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = match (shown, tls.clients()) {
            (Some(der), Some(clients)) => read_certificate(der, &clients.roles).map(Arc::new),
            _ => None,
        };
        let is_shown = certificate.is_some();
        let over = async {
            tokio::select! {
                () = stop.cancelled() => {}
                // Its authority may be trusted no longer: the client has to show it anew.
                Ok(()) = changes.changed(), if is_shown => {}
            }
        };
        self.requests(stream, Peer { address, certificate }, over).await;
    }

    /// A handshake that failed for the client's certificate is a denial; others are noise.
    async fn refused(&self, address: IpAddr, error: &io::Error) {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let why = match tls {
            Some(rustls::Error::InvalidCertificate(why)) => certificate_fault(why),
            Some(rustls::Error::NoCertificatesPresented) => "there is none",
            _ => return tracing::debug!(%address, kind = %error.kind(), "a TLS handshake failed"),
        };
        self.gate.note_certificate(address, why).await;
    }

    /// Answers the requests of one connection, one after the other; none that comes when it is `over`.
    async fn requests<S>(&self, stream: S, peer: Peer, over: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| self.answer(request, peer.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.headers)
            .max_headers(HEADERS)
            .max_header_size(HEADER_BYTES)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = over => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            let source = error.source().map(ToString::to_string);
            tracing::debug!(address = %peer.address, %error, source, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Result<Response, Infallible> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(peer);
        parts.extensions.insert(Asked(parts.uri.path().to_owned()));
        if body.is_end_stream() {
            return self.router.clone().oneshot(Request::from_parts(parts, Body::empty())).await;
        }
        if body.size_hint().lower() > BODY_BYTES {
            let problem =
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than 1 MiB");
            return Ok(last(problem.with("help", "no request needs so much")));
        }
        let (body, late) = Timely::new(body, self.bounds.body);
        let response = self.router.clone().oneshot(Request::from_parts(parts, Body::new(body))).await?;
        if !late.is() {
            return Ok(response);
        }
        let problem =
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body of the request took too long");
        Ok(last(problem.with("help", "send it at once")))
    }
}

/// The last answer of a connection: what would follow is the body that nobody reads.
fn last(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Why a client's certificate is refused, in our own words.
const fn certificate_fault(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Fault;
    match why {
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired",
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => "it is not valid yet",
        Fault::UnknownIssuer => "its authority is none of ours",
        Fault::BadSignature => "its signature is wrong",
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => "it is not for clients",
        _ => "it is not valid",
    }
}

#[cfg(test)]
mod tests {
    use super::FULL;

    #[test]
    fn a_connection_too_many_is_told_a_problem() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{} {head}", body.len());
        let said: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(said["status"], 503);
    }
}
