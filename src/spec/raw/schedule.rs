//! When a pipeline runs, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::placed::{Many, Placed, Words};

/// When the daemon runs the pipeline: by `cron`, `every` or `after`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["cron"]}, {"required": ["every"]}, {"required": ["after"]}]))]
pub(crate) struct Schedule {
    /// Cron expression of five fields: minute, hour, day of month, month, day of week.
    pub(crate) cron: Option<Placed<String>>,
    /// Elapsed time from one run to the next, such as `15m`, `10s` to `366days`.
    pub(crate) every: Option<Placed<Words>>,
    /// One of the instants of `every`, RFC 3339; default `1970-01-01T00:00:00Z`.
    pub(crate) anchor: Option<Placed<Words>>,
    /// What others have done.
    pub(crate) after: Option<Placed<After>>,
    /// IANA time zone that `cron` and `blackout` are read in, default `UTC`.
    pub(crate) timezone: Option<Placed<String>>,
    /// What becomes of occurrences that could not be taken on in time; default `skip`.
    pub(crate) missed: Option<Placed<Missed>>,
    /// Puts each occurrence off by a part of this, such as `5m`, at most `24h`.
    pub(crate) jitter: Option<Placed<Words>>,
    /// Parts of the week in which nothing is started.
    pub(crate) blackout: Option<Placed<Vec<Placed<Blackout>>>>,
    /// What becomes of an occurrence inside a blackout; default `defer`.
    pub(crate) in_blackout: Option<Placed<InBlackout>>,
    /// What becomes of an occurrence while the pipeline has a run; default `skip`, and `queue` under `after`.
    pub(crate) when_active: Option<Placed<WhenActive>>,
}

/// What a pipeline follows: other pipelines, or a dataset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["pipeline"]}, {"required": ["pipelines"]}, {"required": ["dataset"]}]))]
pub(crate) struct After {
    /// Runs when this pipeline has succeeded.
    pub(crate) pipeline: Option<Placed<String>>,
    /// Runs when these pipelines have succeeded.
    pub(crate) pipelines: Option<Placed<Many<Placed<String>>>>,
    /// Of how many of `pipelines` there must be a run that was not followed yet; default `all`.
    pub(crate) when: Option<Placed<When>>,
    /// Runs when another pipeline has published a version of this dataset, `namespace.name`.
    pub(crate) dataset: Option<Placed<String>>,
}

/// Of how many pipelines a run is waited for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Of each of them.
    All,
    /// Of any one.
    Any,
}

/// What becomes of occurrences that could not be taken on in time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missed {
    /// They are left out.
    Skip,
    /// One run stands for all of them.
    Once,
    /// Each has its run, one after the other, at most the newest 100.
    All,
}

/// A part of the week.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blackout {
    /// The days on which it begins: `mon` to `sun`, or ranges such as `mon-fri`; default every day.
    pub(crate) days: Option<Placed<Many<Placed<String>>>>,
    /// When it begins, `"00:00"` to `"23:59"`; default `"00:00"`.
    pub(crate) from: Option<Placed<Words>>,
    /// When it ends, `"00:01"` to `"24:00"`, on the next day unless this is after `from`; default `"24:00"`.
    pub(crate) to: Option<Placed<Words>>,
}

/// What becomes of an occurrence inside a blackout.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InBlackout {
    /// It is due when the blackout ends.
    Defer,
    /// It is left out.
    Skip,
}

/// What becomes of an occurrence while the pipeline has a run.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenActive {
    /// It is left out.
    Skip,
    /// One run waits for the end of the other.
    Queue,
}

/// How often a run is tried again where that may help.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Most attempts in all, 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub(crate) attempts: Placed<u64>,
    /// Pause after the first attempt, such as `1m`, doubled from attempt to attempt; `1s` to `1h`, default `1m`.
    pub(crate) backoff: Option<Placed<Words>>,
    /// Longest pause, at most `24h`, default `30m`.
    pub(crate) max_backoff: Option<Placed<Words>>,
    /// No attempt begins later than this after the run was asked for; `1m` to `7days`, default `4h`.
    pub(crate) budget: Option<Placed<Words>>,
}

/// Which of the runs that wait begins first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    /// After others.
    Low,
    /// As most.
    Normal,
    /// Before others.
    High,
}
