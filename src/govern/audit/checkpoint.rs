//! Checkpoints: signed words that the trail had this entry, of this hash, at this time. Whoever signs them, and keeps
//! copies elsewhere, is `run`'s business.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::layout::{self, Hash};
use super::{Head, listing};
use crate::error::{Error, Result};
use crate::govern::store::{Store, fault, now_ms};

/// What the format is called.
const FORMAT: &str = "sealift-audit-checkpoint/1";
/// Most of the newest checkpoints that are tried for one that is signed.
const MOST_TRIED: i64 = 16;

/// A checkpoint, whose signature nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The trail.
    pub trail: String,
    /// The number of the entry it ended with.
    pub seq: i64,
    /// That entry's hash.
    pub hash: Hash,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Id of the key that signed.
    pub signer: String,
    /// The Ed25519 signature of [`Checkpoint::message`].
    pub signature: Vec<u8>,
}

/// The form of a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: String,
    trail: String,
    seq: i64,
    hash: String,
    at_ms: i64,
    signer: String,
    signature: String,
}

impl Checkpoint {
    /// The checkpoint of a trail that ends here, now, as `sign` signs its bytes.
    ///
    /// # Errors
    /// `Failed` when the end is none.
    pub fn of(head: &Head, signer: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<Self> {
        let hash =
            Hash::parse(&head.hash).ok_or_else(|| Error::failed("the audit trail has a broken end"))?;
        let (trail, signer) = (head.trail.clone(), signer.to_owned());
        let mut made = Self { trail, seq: head.seq, hash, at_ms: now_ms(), signer, signature: Vec::new() };
        made.signature = sign(&made.message());
        Ok(made)
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        layout::checkpoint(&self.trail, self.seq, self.hash, self.at_ms, &self.signer)
    }

    /// The checkpoint as one line of JSON, without the line's end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let line = Line {
            format: FORMAT.to_owned(),
            trail: self.trail.clone(),
            seq: self.seq,
            hash: self.hash.to_string(),
            at_ms: self.at_ms,
            signer: self.signer.clone(),
            signature: BASE64_STANDARD.encode(&self.signature),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads such a line; `None` for what is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let Line { format, trail, seq, hash, at_ms, signer, signature } = serde_json::from_str(line).ok()?;
        let hash = Hash::parse(&hash)?;
        let signature = BASE64_STANDARD.decode(signature).ok()?;
        (format == FORMAT).then_some(Self { trail, seq, hash, at_ms, signer, signature })
    }
}

/// Keeps a checkpoint in the store, unless it is there.
///
/// # Errors
/// `Temporary` when the store is busy, `Failed` when it cannot be written.
pub async fn keep(store: &(impl Store + ?Sized), checkpoint: &Checkpoint) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_checkpoints (trail, seq, hash, at_ms, signer, signature)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (seq, signature) DO NOTHING",
    )
    .bind(&checkpoint.trail)
    .bind(checkpoint.seq)
    .bind(checkpoint.hash.to_string())
    .bind(checkpoint.at_ms)
    .bind(&checkpoint.signer)
    .bind(BASE64_STANDARD.encode(&checkpoint.signature))
    .execute(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    Ok(())
}

/// A page of the store's checkpoints, by number after `seq`, with all of one number together. `None` stands for one
/// that cannot be read.
///
/// # Errors
/// `Temporary` or `Failed` when the store does not answer.
pub async fn checkpoints(store: &(impl Store + ?Sized), seq: i64) -> Result<Vec<(i64, Option<Checkpoint>)>> {
    let rows = sqlx::query(
        "SELECT trail, seq, hash, at_ms, signer, signature FROM audit_checkpoints WHERE seq > $1 AND seq <=
           (SELECT MAX(seq) FROM (SELECT seq FROM audit_checkpoints WHERE seq > $1 ORDER BY seq LIMIT $2) AS page)
         ORDER BY seq, at_ms",
    )
    .bind(seq)
    .bind(i64::from(listing::MAX_LISTED))
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    rows.iter().map(|row| Ok((row.try_get("seq").map_err(|e| fault(&e))?, read(row)))).collect()
}

/// The newest few checkpoints of this trail in the store, newest first, of entries up to `seq`. Anybody who may write
/// there may have put them there: what counts is their signature.
///
/// # Errors
/// As [`checkpoints`].
pub async fn newest_checkpoints(
    store: &(impl Store + ?Sized),
    trail: &str,
    seq: i64,
) -> Result<Vec<Checkpoint>> {
    let rows = sqlx::query(
        "SELECT trail, seq, hash, at_ms, signer, signature FROM audit_checkpoints WHERE trail = $1 AND seq <= $2
         ORDER BY seq DESC, at_ms DESC LIMIT $3",
    )
    .bind(trail)
    .bind(seq)
    .bind(MOST_TRIED)
    .fetch_all(store.pool())
    .await
    .map_err(|e| fault(&e))?;
    Ok(rows.iter().filter_map(read).collect())
}

fn read(row: &AnyRow) -> Option<Checkpoint> {
    let text = |column: &str| row.try_get::<String, _>(column).ok();
    Some(Checkpoint {
        trail: text("trail")?,
        seq: row.try_get("seq").ok()?,
        hash: Hash::parse(&text("hash")?)?,
        at_ms: row.try_get("at_ms").ok()?,
        signer: text("signer")?,
        signature: BASE64_STANDARD.decode(text("signature")?).ok()?,
    })
}
