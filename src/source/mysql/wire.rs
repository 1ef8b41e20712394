//! Commands and answers: one exchange at a time, and always known where in it we are, so that a read
//! that is given up half-way can be brought to its end.

use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::error::{Broken, Said};
use super::packet::{Fields, Inbox, packed};
use super::transport::Transport;

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;
pub(super) const OK: u8 = 0x00;
pub(super) const EOF: u8 = 0xfe;
pub(super) const ERROR: u8 = 0xff;
/// An answer that begins like an end and is longer is a row.
const MOST_EOF_BYTES: usize = 8;

/// A column as the server describes a result's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) flags: u16,
    pub(super) charset: u16,
    pub(super) length: u32,
    pub(super) decimals: u8,
}

/// A statement the server holds ready.
pub(super) struct Statement {
    pub(super) id: u32,
    pub(super) parameters: u16,
    pub(super) columns: Vec<Definition>,
}

/// The rows of a small result, as text.
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// Where in an exchange we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A command is being written: cut off here, the server would wait for its rest for ever.
    Sending,
    /// The answer to a statement that was to be made ready is due.
    Preparing,
    /// An answer is due, with as many ends as this still to come.
    Answer {
        first: bool,
        ends: u8,
    },
}

/// A result is due: definitions, an end, rows, an end.
const ROWS: Phase = Phase::Answer { first: true, ends: 2 };

/// The first packet of the answer to a statement that was made ready.
struct Prepared {
    id: u32,
    columns: u16,
    parameters: u16,
}

impl Prepared {
    fn of(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        (fields.byte()? == OK).then_some(())?;
        Some(Self {
            id: u32::from_le_bytes(fields.array()?),
            columns: u16::from_le_bytes(fields.array()?),
            parameters: u16::from_le_bytes(fields.array()?),
        })
    }
}

/// What comes of a result, one at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The payload of this packet.
    Packet(std::ops::Range<usize>),
    /// The end of the definitions, or of the rows.
    End,
}

/// A connection that commands go through.
pub(super) struct Wire {
    pub(super) transport: Transport,
    pub(super) inbox: Inbox,
    phase: Phase,
    /// The statement that the server holds ready for us.
    ready: Option<u32>,
}

type Outcome<T> = Result<T, Broken>;

const SHORT: Broken = Broken::Protocol("a packet is too short");

impl Wire {
    /// A connection that is logged in.
    pub(super) fn new(transport: Transport, mut inbox: Inbox) -> Self {
        inbox.trust();
        Self { transport, inbox, phase: Phase::Idle, ready: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether the answer that is due can be brought to its end.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answer { .. } | Phase::Preparing)
    }

    /// The statement that the server still holds ready, if there is one.
    pub(super) fn ready(&self) -> Option<u32> {
        self.ready
    }

    /// Sends a command, after which we are in this phase.
    async fn send(&mut self, command: u8, body: &[u8], after: Phase) -> Outcome<()> {
        if !self.is_idle() {
            return Err(Broken::Protocol("a command before the last was answered"));
        }
        let mut payload = Vec::with_capacity(body.len() + 1);
        payload.push(command);
        payload.extend_from_slice(body);
        self.phase = Phase::Sending;
        self.transport.write_all(&packed(&payload, 0)).await?;
        self.transport.flush().await?;
        self.phase = after;
        Ok(())
    }

    /// What is here of the answer without waiting; `None` when more has to be received.
    ///
    /// # Errors
    /// `Broken::Server` when the answer is, or ends with, an error; the connection is idle then.
    #[inline]
    pub(super) fn event(&mut self) -> Outcome<Option<Event>> {
        let Some(packet) = self.inbox.packet() else { return Ok(None) };
        let payload = self.inbox.bytes(packet.clone());
        match payload.first() {
            Some(&ERROR) => {
                let said = Said::of(payload);
                self.phase = Phase::Idle;
                return Err(Broken::Server(said));
            }
            Some(&EOF) if payload.len() <= MOST_EOF_BYTES => {
                if let Phase::Answer { ends, .. } = self.phase {
                    let ends = ends.saturating_sub(1);
                    self.phase = if ends == 0 { Phase::Idle } else { Phase::Answer { first: false, ends } };
                }
                return Ok(Some(Event::End));
            }
            Some(&OK) if matches!(self.phase, Phase::Answer { first: true, .. }) => self.phase = Phase::Idle,
            Some(&OK) if self.phase == Phase::Preparing => {
                let prepared = Prepared::of(payload).ok_or(SHORT)?;
                self.ready = Some(prepared.id);
                let ends = u8::from(prepared.parameters > 0) + u8::from(prepared.columns > 0);
                self.phase = if ends == 0 { Phase::Idle } else { Phase::Answer { first: false, ends } };
            }
            Some(_) => {
                if let Phase::Answer { first, .. } = &mut self.phase {
                    *first = false;
                }
            }
            None => return Err(SHORT),
        }
        Ok(Some(Event::Packet(packet)))
    }

    /// The next of the answer.
    async fn next(&mut self) -> Outcome<Event> {
        loop {
            if let Some(event) = self.event()? {
                return Ok(event);
            }
            self.fill().await?;
        }
    }

    /// Receives more.
    pub(super) async fn fill(&mut self) -> Outcome<()> {
        Ok(self.inbox.fill(&mut self.transport).await?)
    }

    /// The definitions that a result begins with; none where the answer is only `OK`.
    async fn definitions(&mut self) -> Outcome<Vec<Definition>> {
        let Event::Packet(packet) = self.next().await? else { return Err(SHORT) };
        if self.is_idle() {
            return Ok(Vec::new());
        }
        let count = Fields(self.inbox.bytes(packet)).number().ok_or(SHORT)?;
        let mut definitions = Vec::new();
        for _ in 0..count {
            definitions.push(self.definition().await?);
        }
        match self.next().await? {
            Event::End => Ok(definitions),
            Event::Packet(_) => Err(Broken::Protocol("more columns than announced")),
        }
    }

    async fn definition(&mut self) -> Outcome<Definition> {
        let Event::Packet(packet) = self.next().await? else {
            return Err(Broken::Protocol("fewer columns than announced"));
        };
        Definition::of(self.inbox.bytes(packet)).ok_or(SHORT)
    }

    /// Runs a statement, and gives its rows as text. For small results only.
    pub(super) async fn query(&mut self, sql: &str) -> Outcome<Table> {
        self.send(COM_QUERY, sql.as_bytes(), ROWS).await?;
        let definitions = self.definitions().await?;
        let mut table = Table { names: definitions.into_iter().map(|d| d.name).collect(), rows: Vec::new() };
        while !self.is_idle() {
            let Event::Packet(packet) = self.next().await? else { break };
            let mut fields = Fields(self.inbox.bytes(packet));
            let cell = |_| {
                let cell = fields.nullable_text().ok_or(SHORT)?;
                Ok(cell.map(|text| String::from_utf8_lossy(text).into_owned()))
            };
            table.rows.push((0..table.names.len()).map(cell).collect::<Outcome<_>>()?);
        }
        Ok(table)
    }

    /// Has the server make a statement ready.
    pub(super) async fn prepare(&mut self, sql: &str) -> Outcome<Statement> {
        self.send(COM_STMT_PREPARE, sql.as_bytes(), Phase::Preparing).await?;
        let Event::Packet(packet) = self.next().await? else { return Err(SHORT) };
        let Prepared { id, columns, parameters } = Prepared::of(self.inbox.bytes(packet)).ok_or(SHORT)?;
        let mut statement = Statement { id, parameters, columns: Vec::new() };
        for (count, keep) in [(parameters, false), (columns, true)] {
            for _ in 0..count {
                let definition = self.definition().await?;
                if keep {
                    statement.columns.push(definition);
                }
            }
            if count > 0 && self.next().await? != Event::End {
                return Err(Broken::Protocol("more columns than announced"));
            }
        }
        Ok(statement)
    }

    /// Sets a statement without parameters going; its rows are to be fetched with [`Wire::event`].
    pub(super) async fn execute(&mut self, statement: u32) -> Outcome<()> {
        let mut body = [0; 9];
        body[..4].copy_from_slice(&statement.to_le_bytes());
        body[5] = 1; // how often
        self.send(COM_STMT_EXECUTE, &body, ROWS).await
    }

    /// The columns of the rows that follow.
    pub(super) async fn executed(&mut self) -> Outcome<Vec<Definition>> {
        self.definitions().await
    }

    /// Lets the server forget a statement. It does not answer.
    pub(super) async fn close(&mut self, statement: u32) -> Outcome<()> {
        self.send(COM_STMT_CLOSE, &statement.to_le_bytes(), Phase::Idle).await?;
        self.ready = self.ready.filter(|ready| *ready != statement);
        Ok(())
    }

    /// Takes what still comes of an answer, and drops it.
    pub(super) async fn drain(&mut self) -> Outcome<()> {
        while self.is_answering() {
            match self.next().await {
                Ok(_) | Err(Broken::Server(_)) => {}
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }
}

impl Drop for Wire {
    /// Says goodbye if that can be done at once: a connection that just breaks off is a line in the
    /// server's log.
    fn drop(&mut self) {
        if self.is_idle() {
            let mut context = Context::from_waker(Waker::noop());
            let mut transport = Pin::new(&mut self.transport);
            let _ = transport.as_mut().poll_write(&mut context, &packed(&[COM_QUIT], 0));
            let _ = transport.poll_flush(&mut context);
        }
    }
}

impl Definition {
    fn of(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        for _ in ["catalog", "schema", "table", "original table"] {
            fields.text()?;
        }
        let name = String::from_utf8_lossy(fields.text()?).into_owned();
        fields.text()?; // original name
        fields.number()?; // length of what follows
        Some(Self {
            name,
            charset: u16::from_le_bytes(fields.array()?),
            length: u32::from_le_bytes(fields.array()?),
            kind: fields.byte()?,
            flags: u16::from_le_bytes(fields.array()?),
            decimals: fields.byte()?,
        })
    }
}
