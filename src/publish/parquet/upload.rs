//! One object on its way to the store, in parts, while its rest is still being encoded. Its SHA-256 is taken
//! on the way, by the tasks that send the parts: each waits for the one before it, and the encoder for none.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore as _, PutPayload};
use ring::digest::{Context, SHA256};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::publish::{ObjectPath, Store, fault};

/// A writer for the encoding thread (never for an async task: it blocks). Holds one part that is
/// being filled; full parts are sent by tasks, of which `slots` bounds the number over all files.
pub(super) struct Upload {
    store: Store,
    path: ObjectPath,
    handle: Handle,
    slots: Arc<Semaphore>,
    part_bytes: usize,
    filling: Vec<u8>,
    sent_bytes: u64,
    multipart: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
    /// What the parts handed over so far hash to, once their tasks come to it; `None` before the first.
    hashed: Option<oneshot::Receiver<Context>>,
    /// What went wrong, kept because `io::Error` cannot carry it through the Parquet writer.
    fault: Option<Error>,
}

/// An object that is whole.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    /// Hexadecimal.
    pub(super) sha256: String,
}

impl Upload {
    pub(super) fn new(
        store: Store,
        path: ObjectPath,
        handle: Handle,
        slots: Arc<Semaphore>,
        part_bytes: usize,
    ) -> Self {
        Self {
            store,
            path,
            handle,
            slots,
            part_bytes,
            filling: Vec::new(),
            sent_bytes: 0,
            multipart: None,
            parts: JoinSet::new(),
            hashed: None,
            fault: None,
        }
    }

    /// Bytes held here, apart from parts in flight.
    pub(super) fn held_bytes(&self) -> usize {
        self.filling.len()
    }

    /// The fault that broke the upload, once.
    pub(super) fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// Sends what is left and makes the object whole.
    ///
    /// # Errors
    /// As the store answers.
    pub(super) fn complete(&mut self) -> Result<Stored> {
        let handle = self.handle.clone();
        let hash = handle.block_on(self.complete_async());
        let hash = hash.map_err(|error| fault::of(&error, &format!("write {}", self.path)))?;
        Ok(Stored { bytes: self.sent_bytes, sha256: hex::encode(hash.finish()) })
    }

    async fn complete_async(&mut self) -> object_store::Result<Context> {
        if self.multipart.is_none() {
            let bytes = Bytes::from(std::mem::take(&mut self.filling));
            self.sent_bytes += bytes.len() as u64;
            let mut hash = Context::new(&SHA256);
            hash.update(&bytes);
            self.store.objects().put_opts(&self.path.location(), bytes.into(), Default::default()).await?;
            return Ok(hash);
        }
        if !self.filling.is_empty() {
            self.send_part().await?;
        }
        while let Some(part) = self.parts.join_next().await {
            part??;
        }
        if let Some(multipart) = &mut self.multipart {
            multipart.complete().await?;
        }
        hash_of(self.hashed.take()).await
    }

    /// Gives up: parts in flight are stopped, and the store is told to forget the sent ones.
    pub(super) fn abort(&mut self) {
        let handle = self.handle.clone();
        handle.block_on(async {
            self.parts.shutdown().await;
            if let Some(mut multipart) = self.multipart.take() {
                // Nothing more can be done: stores expire forgotten parts by their own rules.
                let _ = multipart.abort().await;
            }
        });
        self.filling = Vec::new();
        self.fault.get_or_insert_with(|| Error::failed("the upload was aborted"));
    }

    /// Sends the filled part in a task of its own, when one of the slots is free.
    async fn send_part(&mut self) -> object_store::Result<()> {
        while let Some(part) = self.parts.try_join_next() {
            part??;
        }
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|source| object_store::Error::Generic { store: "upload", source: Box::new(source) })?;
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let location = self.path.location();
                let objects = self.store.objects();
                none.insert(objects.put_multipart_opts(&location, Default::default()).await?)
            }
        };
        let bytes = Bytes::from(std::mem::take(&mut self.filling));
        self.sent_bytes += bytes.len() as u64;
        let part = multipart.put_part(PutPayload::from_bytes(bytes.clone()));
        let (done, hashed) = oneshot::channel();
        let before = self.hashed.replace(hashed);
        let hash = async move {
            let mut hash = hash_of(before).await?;
            hash.update(&bytes);
            // Nobody waits for it where the upload is given up.
            let _ = done.send(hash);
            Ok(())
        };
        self.parts.spawn(async move {
            let result = futures::future::try_join(part, hash).await;
            drop(slot);
            result.map(|((), ())| ())
        });
        Ok(())
    }
}

/// The hash of all parts so far; it ends with the task of a part that failed.
async fn hash_of(parts: Option<oneshot::Receiver<Context>>) -> object_store::Result<Context> {
    let broken = |source| object_store::Error::Generic { store: "upload", source: Box::new(source) };
    match parts {
        None => Ok(Context::new(&SHA256)),
        Some(parts) => parts.await.map_err(broken),
    }
}

impl io::Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(io::Error::other("the upload has failed"));
        }
        if self.filling.capacity() == 0 {
            // Small files stay small; a large one grows to a whole part by doubling, once.
            let room = if self.sent_bytes == 0 { bytes.len() } else { self.part_bytes };
            self.filling.reserve_exact(room.min(self.part_bytes));
        }
        let taken = bytes.len().min(self.part_bytes - self.filling.len());
        self.filling.extend_from_slice(&bytes[..taken]);
        if self.filling.len() == self.part_bytes {
            let handle = self.handle.clone();
            if let Err(error) = handle.block_on(self.send_part()) {
                self.fault = Some(fault::of(&error, &format!("write {}", self.path)));
                return Err(io::Error::other("the upload has failed"));
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
