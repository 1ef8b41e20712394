//! Looks at the documents when a file changes, when SIGHUP asks for it, and from time to time.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::dispatch::{Dispatcher, Limits};
use super::documents::{Cause, Documents};
use super::supervisor;
use crate::spec::Config;

/// How long nothing may change before it is read: who writes a file is given time to come to its end.
const QUIET: Duration = Duration::from_millis(300);
/// The longest time from a change to the look at it, however much changes meanwhile.
const LONGEST: Duration = Duration::from_secs(2);
/// Time between two looks that nothing asked for: not every file system tells of changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Tells those that keep files of their own in memory, such as certificates, to read them again. Clones share
/// everything.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<watch::Sender<u64>>);

impl Reloads {
    /// Changes each time that a reload is asked for.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn tell(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// Looks at the documents for as long as it is awaited. `asked` is SIGHUP.
pub(super) async fn keep(
    documents: Option<Documents>,
    dispatcher: Dispatcher,
    reloads: Reloads,
    mut asked: Signal,
) -> Infallible {
    let mut watching = Watching::default();
    let mut cause = Cause::Watched;
    loop {
        if let Some(documents) = &documents {
            // Before the look, so that what changes after it is heard of.
            watching.follow(&documents.engine().config).await;
            look(documents, cause).await;
            dispatcher.limit(Limits::of(&documents.engine().config));
        }
        if cause == Cause::Asked {
            reloads.tell();
            let counts = documents.as_ref().map(|one| (one.registry().all().len(), one.problems().len()));
            supervisor::reloaded(counts);
        }
        cause = tokio::select! {
            biased;
            heard = asked.recv() => match heard {
                Some(()) => Cause::Asked,
                None => Cause::Watched,
            },
            () = watching.next() => Cause::Watched,
        };
        if cause == Cause::Asked {
            tracing::info!("reloading");
            supervisor::reloading();
        }
    }
}

async fn look(documents: &Documents, cause: Cause) {
    if let Err(error) = documents.reload(cause).await {
        tracing::error!(%error, "what changed on disk is not put into force");
    }
}

/// Hears of changes to files.
#[derive(Default)]
struct Watching {
    watcher: Option<RecommendedWatcher>,
    roots: Vec<Root>,
    heard: Arc<Notify>,
}

/// A folder that is watched. What is mounted or linked in its place is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    folder: PathBuf,
    identity: Option<(u64, u64)>,
    with_all_in_it: bool,
}

impl Root {
    fn of(folder: &Path, with_all_in_it: bool) -> Self {
        let identity = std::fs::metadata(folder).ok().map(|folder| (folder.dev(), folder.ino()));
        Self { folder: folder.to_owned(), identity, with_all_in_it }
    }
}

impl Watching {
    /// Watches what a configuration names, and itself.
    async fn follow(&mut self, config: &Config) {
        let roots = vec![
            Root::of(folder_of(&config.path), false),
            Root::of(folder_of(&config.policy), false),
            Root::of(&config.pipelines, true),
        ];
        if roots == self.roots {
            return;
        }
        let telling = Telling::of(config);
        let (heard, watched) = (Arc::clone(&self.heard), roots.clone());
        let begun = tokio::task::spawn_blocking(move || begin(&watched, telling, heard)).await;
        self.watcher = match begun {
            Ok(Ok(watcher)) => Some(watcher),
            Ok(Err(error)) => {
                let seconds = LOOK_INTERVAL.as_secs();
                tracing::warn!(%error, "changes to documents are noticed within {seconds} seconds only");
                None
            }
            Err(_) => None,
        };
        self.roots = roots;
    }

    /// Ends a moment after something changed, or when it is time to look without; then, too, who writes comes to an end.
    async fn next(&self) {
        let _ = timeout(LOOK_INTERVAL, self.heard.notified()).await;
        let latest = Instant::now() + LONGEST;
        while timeout_at(latest.min(Instant::now() + QUIET), self.heard.notified()).await.is_ok() {
            if Instant::now() >= latest {
                return;
            }
        }
    }
}

fn begin(roots: &[Root], telling: Telling, heard: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let hear = move |event: notify::Result<Event>| {
        if event.map_or(true, |event| telling.is_met_by(&event)) {
            heard.notify_one();
        }
    };
    // Folders behind links are not searched either.
    let mut watcher = RecommendedWatcher::new(hear, notify::Config::default().with_follow_symlinks(false))?;
    for root in roots {
        let mode = if root.with_all_in_it { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(&root.folder, mode)?;
    }
    Ok(watcher)
}

/// Which changes may be changes of documents.
struct Telling {
    /// Files by name, wherever they are.
    names: Vec<OsString>,
    pipelines: PathBuf,
}

impl Telling {
    fn of(config: &Config) -> Self {
        let names = [&config.path, &config.policy].into_iter().filter_map(|path| path.file_name());
        Self { names: names.map(OsString::from).collect(), pipelines: config.pipelines.clone() }
    }

    fn is_met_by(&self, event: &Event) -> bool {
        let changes = match event.kind {
            // Reading is no change, and is what we do ourselves.
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            _ => true,
        };
        changes && (event.need_rescan() || event.paths.iter().any(|path| self.is_of(path)))
    }

    fn is_of(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else { return true };
        // Links that are swapped to change many files at once (`..data`).
        let is_link = name.as_encoded_bytes().starts_with(b"..");
        // A document, or a folder of them.
        let is_document = path.extension().is_none_or(|ending| ending == "yaml" || ending == "yml");
        is_link
            || self.names.iter().any(|known| known == name)
            || is_document && path.starts_with(&self.pipelines)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind};

    use super::*;

    #[test]
    fn only_what_may_be_a_document_is_heard() {
        let telling = Telling { names: vec!["sealift.yaml".into()], pipelines: "/e/pipelines".into() };
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let heard = |kind, path: &str| telling.is_met_by(&Event::new(kind).add_path(path.into()));
        for path in
            ["/e/sealift.yaml", "/e/..data", "/e/pipelines/a.yaml", "/e/pipelines/x/b.yml", "/e/pipelines/x"]
        {
            assert!(heard(written, path), "{path}");
        }
        for path in ["/e/sealift.db-wal", "/e/other.yaml", "/e/pipelines/rows.csv"] {
            assert!(!heard(written, path), "{path}");
        }
        let document = "/e/pipelines/a.yaml";
        assert!(heard(EventKind::Create(CreateKind::File), document));
        assert!(heard(EventKind::Access(AccessKind::Close(AccessMode::Write)), document));
        assert!(!heard(EventKind::Access(AccessKind::Open(AccessMode::Any)), document));
    }
}
