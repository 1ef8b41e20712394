//! Connecting, and the one connection that asks the catalog: made, driven, cancelled, ended.

use std::future::{Future, poll_fn};
use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::{Endpoint, Subject};
use super::layout::TEXT_FORMS;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::source::{Slot, tls};
use crate::spec::config;

/// Until an address answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until we are let in: looking up the name, every address of it, TLS, password.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Until a silent peer counts as gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);
/// What a cancel request, or the goodbye of a session, may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries at connecting, where the fault may pass, and the pause before the second; it doubles.
const CONNECT_TRIES: u32 = 3;
const CONNECT_PAUSE: Duration = Duration::from_millis(300);

/// How a connection is protected.
#[derive(Clone)]
pub(super) enum Protection {
    Plain,
    Tls(MakeRustlsConnect),
}

/// All that is needed to connect. Holds the password: no `Debug`.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) endpoint: Endpoint,
    pub(super) config: tokio_postgres::Config,
    pub(super) protection: Protection,
    statement_timeout: Option<Duration>,
}

impl Login {
    /// # Errors
    /// `Invalid` when `ca_file` cannot be used.
    pub(super) fn new(settings: &config::Postgres, password: Option<&Secret>) -> Result<Self> {
        let endpoint = Endpoint {
            host: settings.host.clone(),
            port: settings.port,
            database: settings.database.clone(),
            user: settings.user.clone(),
        };
        let protection = match settings.tls {
            config::Tls::Disable => Protection::Plain,
            config::Tls::VerifyFull => {
                Protection::Tls(MakeRustlsConnect::new(tls::verify_full(settings.ca_file.as_deref())?))
            }
        };
        let config = client_config(settings, password);
        Ok(Self { endpoint, config, protection, statement_timeout: settings.statement_timeout })
    }

    /// Statements that every connection begins with. The lock timeout is for tables being altered;
    /// without it we would wait for ever.
    pub(super) fn preamble(&self) -> String {
        let mut sql = format!(
            "SET TIME ZONE 'UTC'; {TEXT_FORMS}; SET lock_timeout = '60s'; \
             SET idle_in_transaction_session_timeout = 0; "
        );
        if let Some(timeout) = self.statement_timeout {
            sql.push_str(&format!("SET statement_timeout = {}; ", timeout.as_millis()));
        }
        sql
    }

    /// Logs in, more than once where the fault may pass.
    ///
    /// # Errors
    /// `Temporary` when the server cannot be reached, `Invalid` when it does not let us in or its
    /// certificate is not to be trusted.
    pub(super) async fn patiently<T, F>(&self, log_in: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = CONNECT_PAUSE;
        for _ in 1..CONNECT_TRIES {
            match self.within_time(log_in()).await {
                Err(error) if error.kind() == Kind::Temporary => {}
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.within_time(log_in()).await
    }

    async fn within_time<T>(&self, log_in: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(LOGIN_TIMEOUT, log_in).await.unwrap_or_else(|_| Err(self.endpoint.unreachable("timed out")))
    }
}

/// A socket to the server, whichever of its addresses answers.
pub(super) async fn dial(endpoint: &Endpoint) -> std::result::Result<TcpStream, io::ErrorKind> {
    let connect = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let stream = timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| io::ErrorKind::TimedOut)?;
    let stream = stream.map_err(|e| e.kind())?;
    // A socket that does not take one of these still works.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let _ = sockopt::set_tcp_keepidle(&stream, PEER_TIMEOUT / 2);
    let _ = sockopt::set_tcp_keepintvl(&stream, PEER_TIMEOUT / 6);
    let _ = sockopt::set_tcp_keepcnt(&stream, 3);
    Ok(stream)
}

/// An open connection. Dropping it ends it: the server is told, or the socket closed.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
    /// `server_version_num`, once it has been asked.
    pub(super) version: u32,
    protection: Protection,
    /// Ends the task that drives the connection.
    _end: DropGuard,
    kill: CancellationToken,
    _slot: Option<Slot>,
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`Login::patiently`].
    pub(super) async fn open(login: &Login, slot: Option<Slot>) -> Result<Self> {
        let (end, kill) = (CancellationToken::new(), CancellationToken::new());
        let client = login.patiently(|| Self::log_in(login, &end, &kill)).await?;
        Ok(Self {
            client,
            endpoint: login.endpoint.clone(),
            version: 0,
            protection: login.protection.clone(),
            _end: end.drop_guard(),
            kill,
            _slot: slot,
        })
    }

    async fn log_in(login: &Login, end: &CancellationToken, kill: &CancellationToken) -> Result<Client> {
        let refused = |e| login.endpoint.not_connected(&e);
        match &login.protection {
            Protection::Plain => {
                let (client, connection) = login.config.connect(NoTls).await.map_err(refused)?;
                spawn(drive(connection), end.clone(), kill.clone());
                Ok(client)
            }
            Protection::Tls(tls) => {
                let (client, connection) = login.config.connect(tls.clone()).await.map_err(refused)?;
                spawn(drive(connection), end.clone(), kill.clone());
                Ok(client)
            }
        }
    }

    /// The one number that a query of the configuration answers.
    ///
    /// # Errors
    /// `Invalid` when it answers no number.
    pub(super) async fn number(&self, sql: &str) -> Result<f64> {
        let failed = |e| self.endpoint.failed(&e, &Subject::Query { sql: String::new(), offset: 0 });
        let messages = self.client.simple_query(sql).await.map_err(failed)?;
        let number = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten()?.parse().ok(),
            _ => None,
        });
        number.ok_or_else(|| {
            Error::invalid("the query of `throttle` answers no number").help("SELECT one number, the load")
        })
    }

    /// Runs statements that are ours and have no parameters.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.endpoint.failed(&e, &Subject::Session))
    }

    /// Cancels the statement at work, and makes sure that a request that comes late hits nothing
    /// that matters.
    pub(super) async fn stop(&self) {
        self.cancel().await;
        let _ = timeout(GOODBYE_TIMEOUT, self.client.batch_execute("SELECT pg_sleep(0.1)")).await;
    }

    /// Has the server stop what it is doing; where it cannot be told, cuts the connection.
    pub(super) async fn cancel(&self) {
        let token = self.client.cancel_token();
        let request = async {
            match &self.protection {
                Protection::Plain => token.cancel_query(NoTls).await,
                Protection::Tls(tls) => token.cancel_query(tls.clone()).await,
            }
        };
        if !matches!(timeout(GOODBYE_TIMEOUT, request).await, Ok(Ok(()))) {
            self.kill.cancel();
        }
    }
}

fn client_config(settings: &config::Postgres, password: Option<&Secret>) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .dbname(&settings.database)
        .user(&settings.user)
        .application_name("sealift")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(PEER_TIMEOUT)
        .keepalives_idle(PEER_TIMEOUT / 2)
        .keepalives_interval(PEER_TIMEOUT / 6)
        .keepalives_retries(3)
        .ssl_mode(match settings.tls {
            config::Tls::Disable => SslMode::Disable,
            config::Tls::VerifyFull => SslMode::Require,
        });
    if let Some(password) = password {
        config.password(password.expose());
    }
    config
}

/// Moves the connection's messages until it ends. Notices are dropped unread: a function of the
/// database may put row values in them, and the client library would log them.
async fn drive<S, T>(mut connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
}

/// Drives a connection until it ends by itself, shortly after `end`, or at once on `kill`.
#[expect(clippy::disallowed_methods, reason = "the driver of a connection ends with its session")]
fn spawn(
    connection: impl Future<Output = ()> + Send + 'static,
    end: CancellationToken,
    kill: CancellationToken,
) {
    tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            () = &mut connection => return,
            () = kill.cancelled() => return,
            () = end.cancelled() => {}
        }
        // The client is gone too: the connection says goodbye by itself.
        let _ = timeout(GOODBYE_TIMEOUT, connection).await;
    });
}
