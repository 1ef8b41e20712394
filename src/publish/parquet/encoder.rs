//! The encoding thread: open files, their bounds, and their end.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::flat::{self, Crew};
use super::layout::Layout;
use super::partition::{self, Values};
use super::upload::{Stored, Upload};
use super::writer::Writer;
use super::{Feed, File, Written, remove, statistics};
use crate::error::{Error, Result};
use crate::publish::{ObjectPath, Store};

/// Most files open at once; beyond, the one not written to for longest is closed.
pub(super) const OPEN_FILES: usize = 64;
/// Most parts in flight, over all files.
pub(super) const PARTS_IN_FLIGHT: usize = 4;
/// Most bytes that open files may hold (unfinished row groups and parts), however much memory there
/// is; beyond, the largest gives way.
const HELD_BYTES: usize = 256 << 20;

/// Encodes batches into files. Holds keys inside its Parquet writers: no `Debug`.
pub(super) struct Encoder {
    layout: Layout,
    store: Store,
    handle: Handle,
    slots: Arc<Semaphore>,
    /// What open files may hold.
    held_bytes: usize,
    crew: Crew,
    open: HashMap<Values, OpenFile>,
    /// Counts slices written: when a file was last written to.
    clock: u64,
    /// Every path that may exist by now.
    paths: Vec<ObjectPath>,
    written: Written,
}

struct OpenFile {
    writer: Writer,
    path: ObjectPath,
    used: u64,
}

impl OpenFile {
    fn held_bytes(&self) -> usize {
        self.writer.group_held_bytes() + self.writer.upload().held_bytes()
    }
}

impl Encoder {
    pub(super) fn new(layout: Layout, store: Store, handle: Handle, memory_bytes: usize) -> Self {
        let crew = crew(&layout, &handle);
        // A quarter for parts in flight, the rest for what is open.
        let parts = (memory_bytes / 4 / layout.part_bytes).clamp(1, PARTS_IN_FLIGHT);
        let held_bytes = memory_bytes.saturating_sub(parts * layout.part_bytes);
        Self {
            crew,
            held_bytes: held_bytes.min(HELD_BYTES).max(layout.part_bytes),
            layout,
            store,
            handle,
            slots: Arc::new(Semaphore::new(parts)),
            open: HashMap::new(),
            clock: 0,
            paths: Vec::new(),
            written: Written::default(),
        }
    }

    /// Encodes until the feed ends. Whatever else happens, nothing is left behind.
    pub(super) fn run(mut self, mut feed: mpsc::Receiver<Feed>) -> Result<Written> {
        // Also a defect of the encoder must leave nothing behind.
        let consumed = catch_unwind(AssertUnwindSafe(|| self.consume(&mut feed)));
        match consumed.unwrap_or_else(|_| Err(super::broke_off())) {
            Ok(()) => Ok(self.written),
            Err(error) => {
                // Stop the source first, then tidy up.
                drop(feed);
                self.abandon();
                Err(error)
            }
        }
    }

    fn consume(&mut self, feed: &mut mpsc::Receiver<Feed>) -> Result<()> {
        loop {
            match feed.blocking_recv() {
                Some(Feed::Rows(batch)) => self.take(&batch)?,
                Some(Feed::End) => break,
                None => return Err(Error::temporary("the write was given up")),
            }
        }
        let open: Vec<_> = self.open.keys().cloned().collect();
        open.iter().try_for_each(|values| self.close(values))
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        // Sliced first, so that a huge batch neither overgrows a file nor is held twice.
        let mut start = 0;
        while start < batch.num_rows() {
            let count = self.layout.slice_rows.min(batch.num_rows() - start);
            for (values, rows) in partition::split(&batch.slice(start, count), &self.layout)? {
                self.append(&values, &rows)?;
            }
            start += count;
        }
        Ok(())
    }

    fn append(&mut self, values: &Values, rows: &RecordBatch) -> Result<()> {
        self.clock += 1;
        if !self.open.contains_key(values) {
            self.make_room()?;
            let file = self.create(values)?;
            self.open.insert(values.clone(), file);
        }
        let Some(file) = self.open.get_mut(values) else { return Ok(()) };
        file.used = self.clock;
        file.writer.write(rows, &mut self.crew)?;
        if file.writer.file_bytes() >= self.layout.file_size_bytes || file.writer.is_full() {
            self.close(values)?;
        }
        self.bound_memory()
    }

    fn create(&mut self, values: &Values) -> Result<OpenFile> {
        let named: Vec<_> = self.layout.partition_by.iter().cloned().zip(values.iter().cloned()).collect();
        let path = ObjectPath::data_file(&self.layout.dataset, &named);
        let upload = Upload::new(
            self.store.clone(),
            path.clone(),
            self.handle.clone(),
            Arc::clone(&self.slots),
            self.layout.part_bytes,
        );
        let writer = self.writer(&path, upload)?;
        self.paths.push(path.clone());
        Ok(OpenFile { writer, path, used: self.clock })
    }

    fn writer(&self, path: &ObjectPath, upload: Upload) -> Result<Writer> {
        if let Some(plan) = &self.layout.flat {
            let sealing = self.layout.sealing(path.relative())?;
            let writer =
                flat::Writer::new(Arc::clone(plan), upload, sealing).map_err(|flat::Fault(why)| {
                    Error::failed(format!("the columns cannot be written as Parquet: {why}"))
                })?;
            return Ok(Writer::Flat(Box::new(writer)));
        }
        let options = self.layout.options(path.relative())?;
        let writer = ArrowWriter::try_new_with_options(upload, Arc::clone(&self.layout.schema), options)
            .map_err(|_| Error::failed("the columns cannot be written as Parquet"))?;
        Ok(Writer::Nested(Box::new(writer)))
    }

    /// Closes the file not written to for longest, where another would be one too many.
    fn make_room(&mut self) -> Result<()> {
        if self.open.len() < OPEN_FILES {
            return Ok(());
        }
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(values, _)| values.clone());
        oldest.map_or(Ok(()), |values| self.close(&values))
    }

    /// Where open files hold too much, the largest gives way: its row group ends, or the file does
    /// when most of it is an unfinished part.
    fn bound_memory(&mut self) -> Result<()> {
        while self.open.values().map(OpenFile::held_bytes).sum::<usize>() > self.held_bytes {
            let largest = self.open.iter_mut().max_by_key(|(_, file)| file.held_bytes());
            let Some((values, file)) = largest else { break };
            if file.writer.group_held_bytes() > file.writer.upload().held_bytes() {
                file.writer.flush(&mut self.crew)?;
            } else {
                let values = values.clone();
                self.close(&values)?;
            }
        }
        Ok(())
    }

    /// Ends a file and notes what Delta wants to know of it.
    fn close(&mut self, values: &Values) -> Result<()> {
        let Some(mut file) = self.open.remove(values) else { return Ok(()) };
        let (Stored { bytes, sha256 }, metadata) = match file.writer.finish(&mut self.crew) {
            Ok(closed) => closed,
            Err(error) => {
                file.writer.upload_mut().abort();
                return Err(error);
            }
        };
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        self.written.rows += rows;
        self.written.bytes += bytes;
        self.written.files.push(File {
            path: file.path.relative().to_owned(),
            bytes,
            rows,
            sha256,
            partition: self.layout.partition_by.iter().cloned().zip(values.iter().cloned()).collect(),
            stats: statistics::of(&metadata, &self.layout.leaves),
        });
        Ok(())
    }

    /// Aborts what is open and removes what was finished.
    fn abandon(&mut self) {
        for file in self.open.values_mut() {
            file.writer.upload_mut().abort();
        }
        self.open.clear();
        let removed = self.handle.clone().block_on(remove(&self.store, &self.paths));
        if let Err(error) = removed {
            tracing::warn!(dataset = %self.layout.dataset, %error, "unpublished files stay behind, unseen by readers");
        }
    }
}

/// Threads to encode with: one per core, and no more than there are columns.
fn crew(layout: &Layout, handle: &Handle) -> Crew {
    let Some(plan) = &layout.flat else { return Crew::alone() };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Crew::new(plan.codec(), cores.min(plan.columns()) - 1, |helper| {
        // Ends with the crew.
        drop(handle.spawn_blocking(helper));
    })
}
