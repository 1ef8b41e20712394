//! What the ledger keeps of a run.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};

/// Identifies a run; UUID version 7, so ids sort by the time they were drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// Draws a fresh id.
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads the hyphenated form.
    ///
    /// # Errors
    /// `Usage` for any other text, which is not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        match Uuid::try_parse(text) {
            Ok(uuid) => Ok(Self(uuid)),
            Err(_) => Err(Error::new(Kind::Usage, "this is not a run id")
                .help("a run id is a UUID; `sealift runs` lists them")),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Declares an enum whose variants are stored and shown as one lower-case word each.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)+ }

        impl $type {
            /// The word it is stored and shown as.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::failed(concat!("the ledger holds an unknown ", stringify!($type)))),
                }
            }
        }
    };
}

words!(
    /// Who asked for a run.
    Trigger {
        /// `sealift sync`.
        Cli = "cli",
        /// The REST API.
        Api = "api",
        /// The pipeline's own schedule.
        Schedule = "schedule",
    }
);

words!(
    /// Where a run stands.
    State {
        /// Waiting for its turn.
        Queued = "queued",
        /// Under way.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Failed.
        Failed = "failed",
        /// Policy or an approval stood in the way.
        Held = "held",
        /// Stopped on request.
        Cancelled = "cancelled",
    }
);

words!(
    /// What became of one stream of a run.
    StreamState {
        /// A version is visible.
        Published = "published",
        /// Nothing was published.
        Failed = "failed",
        /// Nothing was published: policy stood in the way.
        Held = "held",
        /// Nothing was published: the run was stopped.
        Cancelled = "cancelled",
    }
);

impl State {
    /// Whether the run is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The state of a run that ended with an error of this kind.
    #[must_use]
    pub const fn after(kind: Kind) -> Self {
        match kind {
            Kind::Held => Self::Held,
            Kind::Cancelled(_) => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// A run as the ledger knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// SHA-256 of the pipeline document it ran.
    pub spec_digest: String,
    /// Who asked.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: State,
    /// Once over: `done`, or the outcome word of the error table.
    pub outcome: Option<String>,
    /// What went wrong, in our own words: with it, or, while it is not over, with its last attempt.
    pub error: Option<String>,
    /// The attempt that is under way or waits, counted from 1; once over, the last one.
    pub attempt: u32,
    /// When the process that runs it last said that it does.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// When the attempt that waits may begin.
    pub not_before: Option<DateTime<Utc>>,
    /// It was asked to stop, by way of a daemon that is not at it.
    pub is_to_stop: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// What became of its streams so far, by stream name.
    pub streams: Vec<StreamOutcome>,
}

/// What became of one stream of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOutcome {
    /// The stream.
    pub stream: String,
    /// Its dataset, `namespace.name`.
    pub dataset: String,
    /// The version that is visible.
    pub version: Option<u64>,
    /// Rows added.
    pub rows: u64,
    /// Rows that went to its quarantine instead.
    pub quarantined: u64,
    /// Bytes added.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// SHA-256 of the version's receipt.
    pub receipt: Option<String>,
    /// What became of it.
    pub state: StreamState,
}

impl Run {
    /// Whether it is over once the process that has it is gone; a run that a daemon queued waits for another one.
    #[must_use]
    pub fn needs_its_process(&self) -> bool {
        self.state == State::Running || (self.state == State::Queued && self.trigger == Trigger::Cli)
    }

    /// The run for programs: `{"run_id","pipeline","state","outcome","error","attempt","trigger",
    /// "spec_digest","created_at","started_at","finished_at","heartbeat_at","not_before","streams"}`, instants as
    /// RFC 3339.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "run_id": self.run_id.to_string(),
            "pipeline": self.pipeline,
            "state": self.state.word(),
            "outcome": self.outcome,
            "error": self.error,
            "attempt": self.attempt,
            "trigger": self.trigger.word(),
            "spec_digest": self.spec_digest,
            "created_at": self.created_at.to_rfc3339(),
            "started_at": self.started_at.map(|at| at.to_rfc3339()),
            "finished_at": self.finished_at.map(|at| at.to_rfc3339()),
            "heartbeat_at": self.heartbeat_at.map(|at| at.to_rfc3339()),
            "not_before": self.not_before.map(|at| at.to_rfc3339()),
            "streams": self.streams.iter().map(StreamOutcome::to_json).collect::<Vec<_>>(),
        })
    }
}

impl StreamOutcome {
    /// The stream for programs: `{"stream","dataset","version","rows","quarantined","bytes",
    /// "seconds","state"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "stream": self.stream,
            "dataset": self.dataset,
            "version": self.version,
            "rows": self.rows,
            "quarantined": self.quarantined,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "state": self.state.word(),
        })
    }
}
