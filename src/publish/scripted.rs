//! Object stores that misbehave on purpose, for tests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::Store;

/// What happens to one conditional put.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// As the store does.
    Honest,
    /// It lands, and the answer says that the object exists.
    LandsSaysExists,
    /// It lands, and the answer is lost.
    LandsAnswerLost,
    /// It does not land, and the answer says that the object exists (409 of a contested key).
    NothingSaysExists,
    /// It does not land, and the answer is lost.
    NothingAnswerLost,
    /// It does not land: the access is refused.
    Denied,
    /// It does not land: the disk is full.
    DiskFull,
}

/// Counts and limits seen by the store.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) parts_in_flight: AtomicUsize,
    pub(super) most_in_flight: AtomicUsize,
    pub(super) parts: AtomicUsize,
    pub(super) largest_part: AtomicUsize,
    pub(super) aborted: AtomicUsize,
    /// Data files that were read, once per request.
    pub(super) data_reads: Mutex<Vec<String>>,
}

/// An in-memory store that follows a script for conditional puts of commits, may ignore the
/// condition altogether, and fails every part after a number of them.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) inner: Arc<InMemory>,
    pub(super) acts: Mutex<VecDeque<Act>>,
    pub(super) ignores_condition: bool,
    /// Ignores the condition for paths of this ending.
    pub(super) ignores_condition_of: Option<&'static str>,
    pub(super) parts_allowed: usize,
    pub(super) seen: Arc<Seen>,
}

impl Scripted {
    pub(super) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            inner: Arc::default(),
            acts: Mutex::new(acts.into_iter().collect()),
            ignores_condition: false,
            ignores_condition_of: None,
            parts_allowed: usize::MAX,
            seen: Arc::default(),
        }
    }

    pub(super) fn store(self) -> Store {
        Store::of(Arc::new(self), url::Url::parse("memory:///").unwrap())
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

fn exists(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "scripted".into() }
}

fn lost() -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
    Error::Generic { store: "scripted", source: Box::new(source) }
}

fn full() -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    Error::Generic { store: "scripted", source: Box::new(source) }
}

#[async_trait]
impl ObjectStore for Scripted {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        if self.ignores_condition || self.ignores_condition_of.is_some_and(|end| path.as_ref().ends_with(end))
        {
            opts.mode = PutMode::Overwrite;
        }
        let commit = opts.mode == PutMode::Create && path.as_ref().contains("_delta_log");
        let act = if commit { self.acts.lock().unwrap().pop_front() } else { None };
        match act.unwrap_or(Act::Honest) {
            Act::Honest => self.inner.put_opts(path, payload, opts).await,
            Act::LandsSaysExists => self.inner.put_opts(path, payload, opts).await.and(Err(exists(path))),
            Act::LandsAnswerLost => self.inner.put_opts(path, payload, opts).await.and(Err(lost())),
            Act::NothingSaysExists => Err(exists(path)),
            Act::NothingAnswerLost => Err(lost()),
            Act::DiskFull => Err(full()),
            Act::Denied => Err(Error::PermissionDenied { path: path.to_string(), source: "scripted".into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(path, opts).await?;
        Ok(Box::new(Counted { inner, seen: Arc::clone(&self.seen), parts_allowed: self.parts_allowed }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if path.as_ref().ends_with(".parquet") && !path.as_ref().contains("_delta_log") {
            self.seen.data_reads.lock().unwrap().push(path.to_string());
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Counted {
    inner: Box<dyn MultipartUpload>,
    seen: Arc<Seen>,
    parts_allowed: usize,
}

#[async_trait]
impl MultipartUpload for Counted {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let seen = Arc::clone(&self.seen);
        let fails = seen.parts.fetch_add(1, Ordering::SeqCst) >= self.parts_allowed;
        seen.largest_part.fetch_max(data.content_length(), Ordering::SeqCst);
        let now = seen.parts_in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let put = self.inner.put_part(data);
        Box::pin(async move {
            // Give the encoder every chance to run ahead.
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            let result = if fails { Err(full()) } else { put.await };
            seen.parts_in_flight.fetch_sub(1, Ordering::SeqCst);
            result
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.seen.aborted.fetch_add(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}
