//! A local folder as an object store that survives a power cut.
//!
//! `object_store`'s own local store never syncs: after a crash a commit could be visible and empty.
//! Here a small object is staged, synced, and only then linked (create) or renamed (overwrite) into
//! place; a multipart object is synced when complete, which is before any commit names it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// A local folder; it and its sub-folders are created when something is first written.
#[derive(Debug)]
pub(super) struct Folder {
    inner: PrefixStore<LocalFileSystem>,
    root: PathBuf,
}

impl Folder {
    /// The folder at an absolute path, which need not exist.
    pub(super) fn new(root: PathBuf) -> Result<Self> {
        let prefix = Path::from_absolute_path(&root)?;
        Ok(Self { inner: PrefixStore::new(LocalFileSystem::new(), prefix), root })
    }

    fn file(&self, location: &Path) -> PathBuf {
        location.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({})", self.root.display())
    }
}

fn fault(source: io::Error) -> Error {
    Error::Generic { store: "folder", source: Box::new(source) }
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Makes an entry of a folder durable.
fn sync_folder_of(file: &FsPath) -> io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Creates the folder of `file`, and makes each new folder durable in its parent.
fn create_folder_of(file: &FsPath) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    create_folder_of(folder)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder_of(folder),
    }
}

/// A staging name beside `file`: `name#digits`, which listings leave out.
fn staged(file: &FsPath) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::now_v7().as_u128()));
    name.into()
}

/// Stages, syncs and places a whole object.
fn place(file: &FsPath, payload: &PutPayload, create: bool) -> Result<()> {
    create_folder_of(file).map_err(fault)?;
    let staging = staged(file);
    let placed = fill(&staging, payload).and_then(|()| {
        if create { std::fs::hard_link(&staging, file) } else { std::fs::rename(&staging, file) }
    });
    // After a rename there is nothing left to remove; after a link or a fault there is.
    let _ = std::fs::remove_file(&staging);
    match placed {
        Err(source) if create && source.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: file.display().to_string(), source: Box::new(source) })
        }
        other => other.and_then(|()| sync_folder_of(file)).map_err(fault),
    }
}

fn fill(staging: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).open(staging)?;
    payload.iter().try_for_each(|bytes| out.write_all(bytes))?;
    out.sync_all()
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: self.to_string(),
                });
            }
        };
        let file = self.file(location);
        blocking(move || place(&file, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let file = self.file(location);
        let folder_of = file.clone();
        blocking(move || create_folder_of(&folder_of).map_err(fault)).await?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(SyncedUpload { inner, file }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        // A log reader asks this way, and expects the order in which S3 answers.
        let unsorted = self.inner.list_with_offset(prefix, offset);
        let sorted = async move {
            let mut all: Vec<_> = unsorted.try_collect().await?;
            all.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(futures::stream::iter(all.into_iter().map(Ok)))
        };
        futures::stream::once(sorted).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// A multipart object that is synced when complete.
#[derive(Debug)]
struct SyncedUpload {
    inner: Box<dyn MultipartUpload>,
    file: PathBuf,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let file = self.file.clone();
        let sync = move || File::open(&file)?.sync_all().and_then(|()| sync_folder_of(&file));
        blocking(move || sync().map_err(fault)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn a_missing_folder_is_empty_and_comes_to_be_on_the_first_write() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("not yet/läke");
        let folder = Folder::new(root.clone()).unwrap();
        assert!(folder.list_with_delimiter(None).await.unwrap().objects.is_empty());
        let path = Path::parse("a/b%20c").unwrap();
        folder.put(&path, "x".into()).await.unwrap();
        assert_eq!(std::fs::read(root.join("a/b%20c")).unwrap(), b"x");
        let error = folder.put_opts(&path, "y".into(), PutMode::Create.into()).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
        assert_eq!(std::fs::read_dir(root.join("a")).unwrap().count(), 1, "no staged file is left");
    }
}
