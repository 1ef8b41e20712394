//! What an entry of the trail can say was done, or was refused.

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Dataset keys were handed out; the subject is the dataset, or its column.
    KeyRelease,
    /// New versions of keys were made, or a new root key; the subject is their ids.
    KeyRotate,
    /// Keys are to be destroyed; the subject is when, and their ids.
    KeyDestroy,
    /// Keys whose time has come are destroyed; the subject is their ids.
    KeyDestroyed,
    /// The destruction of keys was called off; the subject is their ids.
    KeyKeep,
    /// The keys were written to a backup; the subject is the file.
    KeyBackup,
    /// Keys were put back from a backup; the subject is the file.
    KeyRestore,
    /// Keys were used to read or to write; the subject is what for, and their ids.
    KeyUse,
    /// An API token was made; the subject is its name and role, the pipelines it is limited to, and its end.
    TokenCreate,
    /// An API token is good no longer; the subject is its name.
    TokenRevoke,
    /// A principal proved who it is; the subject is its roles and where it called from. Refused, it is a wrong, unknown
    /// or expired proof, and the subject is why.
    Login,
    /// A request was refused that names no deed of its own; the subject is method and route.
    Request,
    /// A run was asked for; the subject is the pipeline and the run.
    RunTrigger,
    /// A run was told to stop; the subject is the pipeline and the run.
    RunCancel,
    /// A run whose process was lost is tried again, or is over; the subject is the pipeline and the run, and which of the two.
    RunTakeover,
    /// A pipeline was registered, or replaced; the subject is its name and the digests of the document, old and new.
    PipelineRegister,
    /// A pipeline was removed; the subject is its name and the digest of its document.
    PipelineDelete,
    /// A pipeline is not to be started by its schedule; the subject is its name.
    PipelinePause,
    /// A pipeline's schedule counts again; the subject is its name.
    PipelineResume,
    /// A pipeline's document changed on disk, came or went; the subject is its name and the digests, old and new.
    PipelineChange,
    /// Another policy is in force; the subject is its name and the digests, old and new.
    PolicyChange,
    /// Another configuration is in force; the subject is the digests, old and new.
    ConfigChange,
    /// The daemon began to serve; the subject is its process, its version, and the digests of what it serves.
    DaemonStart,
    /// The daemon ended; the subject is its process, and why.
    DaemonStop,
    /// Published columns were sealed otherwise; the subject is the dataset and what each column becomes.
    ColumnReseal,
    /// Rows were erased; the subject is the dataset and a keyed digest of the condition they met.
    RowErase,
    /// Files of a dataset were joined; the subject is the dataset.
    DatasetCompact,
    /// Old versions of a dataset were removed; the subject is the dataset and what stays.
    DatasetVacuum,
    /// The record of runs was made again from the tables; the subject says so.
    LedgerRebuild,
    /// Pseudonyms are about to be turned back into values; the subject is the function, the purpose, a keyed digest
    /// of the statement, and the column. Refused, it has no digest.
    ValueReveal,
    /// They were; the subject also has their number.
    ValueRevealed,
    /// A subject's key is destroyed; the subject is the dataset, the column and the keyed digest of who it was.
    SubjectShred,
}

impl Action {
    /// The word it is stored and shown as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyRelease => "key.release",
            Self::KeyRotate => "key.rotate",
            Self::KeyDestroy => "key.destroy",
            Self::KeyDestroyed => "key.destroyed",
            Self::KeyKeep => "key.keep",
            Self::KeyBackup => "key.backup",
            Self::KeyRestore => "key.restore",
            Self::KeyUse => "key.use",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::Login => "login",
            Self::Request => "request",
            Self::RunTrigger => "run.trigger",
            Self::RunCancel => "run.cancel",
            Self::RunTakeover => "run.takeover",
            Self::PipelineRegister => "pipeline.register",
            Self::PipelineDelete => "pipeline.delete",
            Self::PipelinePause => "pipeline.pause",
            Self::PipelineResume => "pipeline.resume",
            Self::PipelineChange => "pipeline.change",
            Self::PolicyChange => "policy.change",
            Self::ConfigChange => "config.change",
            Self::DaemonStart => "daemon.start",
            Self::DaemonStop => "daemon.stop",
            Self::ColumnReseal => "column.reseal",
            Self::RowErase => "row.erase",
            Self::DatasetCompact => "dataset.compact",
            Self::DatasetVacuum => "dataset.vacuum",
            Self::LedgerRebuild => "ledger.rebuild",
            Self::ValueReveal => "value.reveal",
            Self::ValueRevealed => "value.revealed",
            Self::SubjectShred => "subject.shred",
        }
    }
}

/// Whether it was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was, and is about to be done.
    Done,
    /// It was refused.
    Denied,
}

impl Outcome {
    /// The word it is stored and shown as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
        }
    }
}
