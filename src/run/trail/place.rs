//! Where checkpoints are kept beside the metadata store, so that who can write to it alone cannot take them back.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStoreExt as _, PutMode};

use crate::error::{Error, Result};
use crate::govern::audit::Checkpoint;
use crate::publish::{Store, fault};
use crate::spec::Config;
use crate::spec::config::Metadata;

/// The file beside the metadata store.
const FILE: &str = "audit-checkpoints.jsonl";
/// The folder of an object store.
const FOLDER: &str = "_sealift_audit";
/// What is done when a store is read.
const READING: &str = "read the audit trail's checkpoints";
/// Most bytes of a checkpoint: a line of some 350 bytes, with room for a long id of a key.
const MOST_BYTES: u64 = 4 << 10;
/// Checkpoints in a page.
const PAGE: usize = 1000;
/// Objects read at once.
const REQUESTS: usize = 32;

/// A place that keeps checkpoints.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, a checkpoint a line; it is only ever added to.
    File(PathBuf),
    /// A store: each checkpoint is an object of its own, which is created and never replaced.
    Objects(Box<Store>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Objects(store) => write!(f, "{}{FOLDER}/", store.url()),
        }
    }
}

impl Place {
    /// The places of a configuration: the file beside an SQLite store, and the store that `audit.checkpoints` names.
    ///
    /// # Errors
    /// `Invalid` when a store cannot be opened.
    pub fn all(config: &Config) -> Result<Vec<Self>> {
        let mut places = match &config.metadata {
            Metadata::Sqlite(metadata) => vec![Self::File(metadata.with_file_name(FILE))],
            Metadata::Postgres { .. } => Vec::new(),
        };
        if let Some(name) = &config.audit_checkpoints {
            let settings = config.stores.get(name);
            let settings = settings
                .ok_or_else(|| Error::invalid(format!("the configuration names no store `{name}`")))?;
            places.push(Self::Objects(Box::new(Store::open(settings)?)));
        }
        Ok(places)
    }

    /// Keeps a checkpoint; one of the same entry may be there already.
    ///
    /// # Errors
    /// `Failed`, `Denied` or `Temporary` as the place answers; `Data` where it has another entry of this number.
    pub(super) async fn keep(&self, checkpoint: &Checkpoint) -> Result<()> {
        let line = format!("{}\n", checkpoint.to_line());
        match self {
            Self::File(path) => {
                let path = path.clone();
                blocking(move || append(&path, &line)).await
            }
            Self::Objects(store) => {
                let name = format!("{:020}.json", checkpoint.seq);
                let path = ObjectPath::from_iter([FOLDER, &checkpoint.trail, &name]);
                match store.objects().put_opts(&path, line.into(), PutMode::Create.into()).await {
                    Ok(_) => Ok(()),
                    // Another process signed the same entry, or it was another one when that was signed.
                    Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                        expect_same(store, &path, checkpoint).await
                    }
                    Err(error) => {
                        Err(fault::of(&error, &format!("write {path}")).at(format!("store {}", store.url())))
                    }
                }
            }
        }
    }

    /// Names of other trails that a store has checkpoints of: several houses may share one.
    ///
    /// # Errors
    /// As [`Place::keep`].
    pub(super) async fn others(&self, trail: &str) -> Result<Vec<String>> {
        let Self::Objects(store) = self else { return Ok(Vec::new()) };
        let found = store.objects().list_with_delimiter(Some(&ObjectPath::from(FOLDER))).await;
        let found = found.map_err(|error| fault::of(&error, READING).at(format!("store {}", store.url())))?;
        let names = found.common_prefixes.iter().filter_map(ObjectPath::filename);
        Ok(names.filter(|name| *name != trail).map(str::to_owned).collect())
    }

    /// Every checkpoint, page by page; `None` stands for what is none. Of a store only those of this trail.
    ///
    /// # Errors
    /// As [`Place::keep`]. A place that is not there yet has none.
    pub(super) fn pages(
        &self,
        trail: Option<&str>,
    ) -> Result<BoxStream<'_, Result<Vec<Option<Checkpoint>>>>> {
        match self {
            Self::File(path) => {
                let unreadable = |error: std::io::Error| {
                    Error::failed(format!("cannot read {}: {}", path.display(), error.kind()))
                };
                let file = match File::open(path) {
                    Ok(file) => Some(BufReader::new(file)),
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    Err(error) => return Err(unreadable(error)),
                };
                let next = move |file: Option<BufReader<File>>| async move {
                    let Some(mut file) = file else { return Ok(None) };
                    let page =
                        blocking(move || lines(&mut file).map(|page| (page, file)).map_err(|e| broken(&e)));
                    let (page, file) = page.await?;
                    Ok((!page.is_empty()).then_some((page, Some(file))))
                };
                Ok(stream::try_unfold(file, next).boxed())
            }
            Self::Objects(store) => {
                let placed =
                    move |error: StoreError| fault::of(&error, READING).at(format!("store {}", store.url()));
                let folder = ObjectPath::from_iter([Some(FOLDER), trail].into_iter().flatten());
                let found = store.objects().list(Some(&folder));
                let read = found
                    .map_ok(move |object| async move {
                        if object.size > MOST_BYTES {
                            return Ok(None);
                        }
                        let bytes = store.objects().get(&object.location).await?.bytes().await?;
                        Ok(parsed(&bytes))
                    })
                    .try_buffer_unordered(REQUESTS)
                    .map_err(placed);
                Ok(read.try_chunks(PAGE).map_err(|stopped| stopped.1).boxed())
            }
        }
    }
}

/// Makes sure that an object is a checkpoint of the same entry, whoever signed it.
async fn expect_same(store: &Store, path: &ObjectPath, checkpoint: &Checkpoint) -> Result<()> {
    let placed = |error: StoreError| fault::of(&error, READING).at(format!("store {}", store.url()));
    let found = store.objects().get(path).await.map_err(placed)?;
    let there = match found.meta.size <= MOST_BYTES {
        true => parsed(&found.bytes().await.map_err(placed)?),
        false => None,
    };
    if there.is_some_and(|there| (there.seq, there.hash) == (checkpoint.seq, checkpoint.hash)) {
        return Ok(());
    }
    Err(Error::data(format!("{path} is there and is no checkpoint of the entry {} of today", checkpoint.seq))
        .at(format!("store {}", store.url()))
        .help("entries were cut off or written anew, or the metadata store is an older one: `sealift audit verify`"))
}

fn append(path: &Path, line: &str) -> Result<()> {
    let is_new = !path.exists();
    let opened = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        // Half a line, of a full disk, must not spoil this one.
        let end = if ends_whole(&mut file)? { "" } else { "\n" };
        // One write, so that lines of several processes do not run into each other.
        file.write_all(format!("{end}{line}").as_bytes())?;
        file.sync_all()
    });
    let folder = path.parent().filter(|folder| is_new && !folder.as_os_str().is_empty());
    let written = written.and_then(|()| folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all()));
    written.map_err(|error| {
        Error::failed(format!("cannot write {}: {}", path.display(), error.kind()))
            .help("checkpoints of the audit trail are added to this file: this user must be able to")
    })
}

/// Whether a file is empty, or ends with a whole line.
fn ends_whole(file: &mut File) -> std::io::Result<bool> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(last == [b'\n'])
}

/// The next lines of a file; none at its end.
fn lines(file: &mut BufReader<File>) -> std::io::Result<Vec<Option<Checkpoint>>> {
    let mut page = Vec::new();
    while page.len() < PAGE {
        let mut line = Vec::new();
        file.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        page.push(parsed(&line));
    }
    Ok(page)
}

fn parsed(line: &[u8]) -> Option<Checkpoint> {
    std::str::from_utf8(line).ok().and_then(|line| Checkpoint::parse(line.trim_end()))
}

fn broken(error: &std::io::Error) -> Error {
    Error::failed(format!("the checkpoints of the audit trail cannot be read: {}", error.kind()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::failed("reading the audit trail's checkpoints was interrupted")))
}
