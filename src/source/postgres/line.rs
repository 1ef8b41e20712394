//! A connection that only copies: its bytes are decoded where they arrive.
//!
//! `tokio-postgres` makes a task, a queue and a reference-counted frame for every row, which costs
//! more than decoding the row. So it logs in (TLS, SCRAM), and then its socket is taken back: the
//! statements here are sent by the simple protocol and the answers read into one buffer that is
//! used again and again. Message formats: PostgreSQL documentation, "Message Formats".

use std::ops::Range;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, NoTls};

use super::decode::{Decoder, Pause};
use super::error::{Endpoint, Subject};
use super::lent::{Lending, Lent, Stream};
use super::session::{Login, Protection, dial};
use crate::error::{Error, Result};
use crate::source::Slot;
use crate::source::parallel::Output;

/// Room for what the server sends; a row may be larger, it is decoded in pieces.
const BUFFER_BYTES: usize = 256 << 10;
/// As much of an error message as is kept.
const MESSAGE_BYTES: usize = 64 << 10;
/// What a cancel request, or the goodbye, may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with a read-only transaction that sees an exported snapshot.
pub(super) struct Line {
    wire: Wire,
    login: Login,
    cancel: CancelToken,
    _slot: Slot,
}

/// How a copy ended early.
pub(super) enum Fault {
    /// The server said so, and has stopped sending.
    AtServer(Error),
    /// What it sends cannot be taken; it goes on sending.
    Here(Error),
    /// Nobody wants the rows any more; it goes on sending.
    Gone,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl Line {
    /// Logs in and takes on the exported snapshot.
    ///
    /// # Errors
    /// As logging in; `Temporary` when the snapshot has gone with the connection that exported it.
    pub(super) async fn open(login: &Login, slot: Slot, snapshot: &str) -> Result<Self> {
        let LoggedIn { stream, cancel } = login.patiently(|| log_in(login)).await?;
        let mut line = Self { wire: Wire::new(stream), login: login.clone(), cancel, _slot: slot };
        let begin = format!(
            "{}BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{}'",
            login.preamble(),
            snapshot.replace('\'', "''"),
        );
        line.run(&begin).await?;
        Ok(line)
    }

    /// Runs statements that answer no rows.
    async fn run(&mut self, sql: &str) -> Result<()> {
        let endpoint = &self.login.endpoint;
        let lost = |kind| endpoint.lost(kind);
        self.wire.query(sql).await.map_err(lost)?;
        let mut fault = None;
        loop {
            match self.wire.message().await.map_err(lost)? {
                Message::Ready => return fault.map_or(Ok(()), Err),
                Message::Error(fields) => fault = Some(error_of(&fields, endpoint, &Subject::Session)),
                Message::Rows { .. } => return Err(endpoint.strange()),
                Message::Other => {}
            }
        }
    }

    /// Copies what the statement gives. Batches that are full go to `output`; the last rows stay in
    /// the decoder.
    pub(super) async fn copy(
        &mut self,
        statement: &str,
        decoder: &mut Decoder,
        output: &Output,
        subject: &Subject,
    ) -> std::result::Result<(), Fault> {
        let endpoint = &self.login.endpoint;
        let lost = |kind| Fault::AtServer(endpoint.lost(kind));
        self.wire.query(statement).await.map_err(lost)?;
        let mut fault = None;
        loop {
            match self.wire.message().await.map_err(lost)? {
                Message::Rows { length } => {
                    decoder.announce(length);
                    let mut length = length;
                    loop {
                        let (taken, mut rows) = self.wire.part(length).await.map_err(lost)?;
                        while decoder.feed(&mut rows)? == Pause::Full {
                            if let Some(batch) = decoder.take()? {
                                output.give(batch).await.map_err(|_| Fault::Gone)?;
                            }
                        }
                        length -= taken;
                        if length == 0 {
                            break;
                        }
                    }
                }
                Message::Ready => break,
                Message::Error(fields) => fault = Some(error_of(&fields, endpoint, subject)),
                Message::Other => {}
            }
        }
        if let Some(fault) = fault {
            return Err(Fault::AtServer(fault));
        }
        decoder.end_copy()?;
        Ok(())
    }

    /// Has the server stop, and ends the connection.
    pub(super) async fn cancel(self) {
        let request = async {
            let stream = dial(&self.login.endpoint).await.ok()?;
            match &self.login.protection {
                Protection::Plain => self.cancel.cancel_query_raw(stream, NoTls).await.ok(),
                Protection::Tls(tls) => {
                    let tls = Lending::connector(tls, &self.login.endpoint.host)?;
                    self.cancel.cancel_query_raw(stream, tls).await.ok()
                }
            }
        };
        // The socket is closed either way, which the server notices with its next row.
        let _ = timeout(GOODBYE_TIMEOUT, request).await;
    }

    /// Ends the connection in good order, so that the server's log has nothing to complain of.
    pub(super) async fn close(mut self) {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        let _ = timeout(GOODBYE_TIMEOUT, async {
            self.wire.stream.write_all(&goodbye).await?;
            self.wire.stream.shutdown().await
        })
        .await;
    }
}

/// A stream on which somebody is logged in.
struct LoggedIn {
    stream: Box<dyn Stream>,
    cancel: CancelToken,
}

async fn log_in(login: &Login) -> Result<LoggedIn> {
    let endpoint = &login.endpoint;
    let stream = dial(endpoint).await.map_err(|kind| endpoint.unreachable(&kind.to_string()))?;
    match &login.protection {
        Protection::Plain => {
            let (lent, owner) = Lent::lend(stream);
            let (client, connection) =
                login.config.connect_raw(lent, NoTls).await.map_err(|e| endpoint.not_connected(&e))?;
            let cancel = client.cancel_token();
            drop((client, connection));
            let stream = owner.take_back().ok_or_else(|| endpoint.strange())?;
            Ok(LoggedIn { stream: Box::new(stream), cancel })
        }
        Protection::Tls(tls) => {
            let (lending, owner) = Lending::new(tls, &endpoint.host).ok_or_else(|| endpoint.strange())?;
            let (client, connection) =
                login.config.connect_raw(stream, lending).await.map_err(|e| endpoint.not_connected(&e))?;
            let cancel = client.cancel_token();
            drop((client, connection));
            let stream = owner.take_back().ok_or_else(|| endpoint.strange())?;
            Ok(LoggedIn { stream: Box::new(stream), cancel })
        }
    }
}

/// What the server says.
enum Message {
    /// Copied bytes, this many, to be taken with [`Wire::part`].
    Rows { length: usize },
    /// A statement failed; the fields of the message.
    Error(Vec<u8>),
    /// It waits for the next statement.
    Ready,
    /// Nothing to act on.
    Other,
}

/// The stream and one buffer for what arrives.
struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// What has arrived and is not taken yet.
    filled: Range<usize>,
}

type Io<T> = std::result::Result<T, std::io::ErrorKind>;

impl Wire {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: vec![0; BUFFER_BYTES], filled: 0..0 }
    }

    async fn query(&mut self, sql: &str) -> Io<()> {
        let mut message = BytesMut::with_capacity(sql.len() + 6);
        frontend::query(sql, &mut message).map_err(|e| e.kind())?;
        self.stream.write_all(&message).await.map_err(|e| e.kind())?;
        self.stream.flush().await.map_err(|e| e.kind())
    }

    /// The next message; rows are left to be taken.
    async fn message(&mut self) -> Io<Message> {
        while self.filled.len() < 5 {
            self.fill().await?;
        }
        let head = &self.buffer[self.filled.start..];
        let [tag, a, b, c, d, ..] = *head else { return Err(std::io::ErrorKind::InvalidData) };
        let length = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let Some(length) = length else { return Err(std::io::ErrorKind::InvalidData) };
        self.filled.start += 5;
        if tag == b'd' {
            return Ok(Message::Rows { length });
        }
        if tag != b'E' {
            self.skip(length).await?;
            return Ok(if tag == b'Z' { Message::Ready } else { Message::Other });
        }
        // The code is among the first fields; a long text behind it is not wanted.
        let mut kept = Vec::new();
        let mut length = length;
        while length > 0 {
            let (taken, part) = self.part(length).await?;
            kept.extend_from_slice(&part[..taken.min(MESSAGE_BYTES - kept.len())]);
            length -= taken;
        }
        Ok(Message::Error(kept))
    }

    async fn skip(&mut self, mut length: usize) -> Io<()> {
        while length > 0 {
            let (taken, _) = self.part(length).await?;
            length -= taken;
        }
        Ok(())
    }

    /// Takes as much of the next `length` bytes as has arrived, at least one.
    async fn part(&mut self, length: usize) -> Io<(usize, &[u8])> {
        if self.filled.is_empty() && length > 0 {
            self.fill().await?;
        }
        let taken = length.min(self.filled.len());
        let part = self.filled.start..self.filled.start + taken;
        self.filled.start = part.end;
        Ok((taken, &self.buffer[part]))
    }

    /// Waits for more, at least one byte.
    async fn fill(&mut self) -> Io<()> {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.buffer.len() - self.filled.end < BUFFER_BYTES / 4 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        let arrived = self.stream.read(&mut self.buffer[self.filled.end..]).await.map_err(|e| e.kind())?;
        if arrived == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof);
        }
        self.filled.end += arrived;
        Ok(())
    }
}

/// The error of an answer, by its code alone: its text may quote a row.
fn error_of(fields: &[u8], endpoint: &Endpoint, subject: &Subject) -> Error {
    let code = fields
        .split(|byte| *byte == 0)
        .filter_map(<[u8]>::split_first)
        .find(|(key, _)| **key == b'C')
        .and_then(|(_, code)| std::str::from_utf8(code).ok());
    endpoint.answered(code.unwrap_or_default(), None, subject)
}
