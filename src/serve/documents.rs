//! The documents on disk, and what is in force of them.
//!
//! What is valid on disk comes into force as a whole: as one [`Engine`], which a run takes at its start and keeps, and
//! in the [`Registry`]. What is invalid is told ([`Documents::problems`]), and what was in force of it stays. Whoever
//! changes either holds the files as they were last seen, so that a change from disk and one over the API never cross.

mod change;
mod disk;
mod following;
mod look;
mod settle;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

pub use self::change::{Deleted, Expected, Registered, Unfit};
use self::look::{Document, Found, Seen};
pub use self::stored::Stored;
use super::registry::{Pipelines, Registry};
use crate::error::{Error, Result};
use crate::govern::audit::{self, Action};
use crate::run::{Engine, trail};
use crate::spec::{Claims, PipelineName, Problems, Reader};

/// Who is said to have changed a document on disk.
const ACTOR: &str = "documents";

/// The documents on disk, and what is in force of them. Clones share everything.
#[derive(Clone)]
pub struct Documents(Arc<Shared>);

struct Shared {
    engine: watch::Sender<Arc<Engine>>,
    registry: Registry,
    seen: Arc<Mutex<Seen>>,
    invalid: watch::Sender<Arc<Vec<Invalid>>>,
    /// What the pipelines of an engine have for themselves, once it was asked for.
    claims: std::sync::Mutex<Option<(Weak<Engine>, Arc<Claims>)>>,
}

/// A document that is not in force as it is written.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// The file, or the folder where that is what cannot be read.
    pub path: PathBuf,
    /// The pipeline that is in force of an earlier text of it.
    pub in_force: Option<PipelineName>,
    /// What is wrong.
    pub problems: Problems,
}

/// Why the documents are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something may have changed.
    Watched,
    /// Somebody asked for it.
    Asked,
}

/// What a look at the documents led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Pipeline documents that were read.
    pub read: usize,
    /// Of those, the ones whose text had to be understood.
    pub resolved: usize,
    /// Pipelines that came, changed or went.
    pub changed: usize,
    /// Documents that are invalid by now, whenever they were written.
    pub invalid: usize,
}

impl Documents {
    /// Reads every document below a configuration and opens the services that it names. Pipelines that are invalid are
    /// left out and told. `notice` is told what was created on first use.
    ///
    /// # Errors
    /// `Invalid` with every problem, where configuration, policy or the pipelines folder cannot be read; those of the
    /// ledger and the key provider.
    pub async fn open(config: &Path, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let (config, policy) = crate::spec::load_frame(config)?;
        let engine = Engine::of(config, policy, Vec::new(), notice).await?;
        let documents = Self(Arc::new(Shared {
            engine: watch::Sender::new(Arc::new(engine)),
            registry: Registry::of(Vec::new()),
            seen: Arc::default(),
            invalid: watch::Sender::default(),
            claims: std::sync::Mutex::default(),
        }));
        let (mut seen, sight) = documents.look(Cause::Asked).await?;
        if let Some(problems) = sight.folder {
            return Err(problems.into());
        }
        let pipelines = after(&seen, &Pipelines::new(), &sight.gone, &sight.settled);
        documents.put(&mut seen, None, pipelines, sight.gone, sight.settled);
        documents.tell_invalid(&seen, Vec::new());
        Ok(documents)
    }

    /// What a run that begins now works with.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0.engine.borrow())
    }

    /// Tells when another configuration, policy or pipeline is in force.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Engine>> {
        self.0.engine.subscribe()
    }

    /// The pipelines in force.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The documents that are not in force as they are written, in the order of their paths.
    #[must_use]
    pub fn problems(&self) -> Arc<Vec<Invalid>> {
        Arc::clone(&self.0.invalid.borrow())
    }

    /// What is known to be wrong with what is no pipeline document.
    fn of_frame(&self) -> Vec<Invalid> {
        let engine = self.engine();
        let frame = [&engine.config.path, &engine.config.policy, &engine.config.pipelines];
        self.problems().iter().filter(|one| frame.contains(&&one.path)).cloned().collect()
    }

    /// Looks at the documents on disk and puts into force what changed and is valid. Only what was written since it was
    /// last seen is read again. Each change is a row of the audit trail before it is in force.
    ///
    /// # Errors
    /// `Temporary` or `Failed` when the audit trail cannot be written; then everything stays as it was, and is tried
    /// again at the next look.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded> {
        let (mut seen, sight) = self.look(cause).await?;
        let before = self.0.registry.all();
        let pipelines = after(&seen, &before, &sight.gone, &sight.settled);
        let changes = changes(&before, &pipelines, &seen, &sight.settled);
        self.record(sight.frame.as_ref(), &changes).await?;
        let mut problems: Vec<Invalid> = sight.wrong.into_iter().collect();
        problems.extend(sight.folder.map(Invalid::of));
        for (path, stamp) in sight.same {
            seen.entry(path).or_default().stamp = stamp;
        }
        let changed = changes.len();
        self.put(&mut seen, sight.frame.as_ref(), pipelines, sight.gone, sight.settled);
        for change in &changes {
            tracing::info!(pipeline = %change, "changed on disk");
        }
        let documents = self.clone();
        let invalid = blocking(move || documents.tell_invalid(&seen, problems)).await?;
        let reloaded = Reloaded { read: sight.read, resolved: sight.resolved, changed, invalid };
        tracing::debug!(?cause, ?reloaded, "looked at the documents");
        Ok(reloaded)
    }

    /// What is on disk, and what is to come of it. Reads files, away from the tasks that answer requests.
    async fn look(&self, cause: Cause) -> Result<(OwnedMutexGuard<Seen>, Sight)> {
        let seen = Arc::clone(&self.0.seen).lock_owned().await;
        let engine = self.engine();
        blocking(move || {
            let sight = Sight::of(&seen, &engine, cause);
            (seen, sight)
        })
        .await
    }

    /// Puts documents into force, which are recorded by now. Without a frame configuration and policy stay.
    fn put(
        &self,
        seen: &mut Seen,
        frame: Option<&Engine>,
        pipelines: Pipelines,
        gone: Vec<PathBuf>,
        settled: Vec<(PathBuf, Document)>,
    ) {
        for path in gone {
            seen.remove(&path);
        }
        seen.extend(settled);
        let before = self.0.registry.all();
        let is_same = before.len() == pipelines.len()
            && before.values().zip(pipelines.values()).all(|(old, new)| Arc::ptr_eq(old, new));
        // Who waits for changes is woken by changes alone.
        if frame.is_some() || !is_same {
            let engine =
                frame.unwrap_or(&self.engine()).with_pipelines(pipelines.values().cloned().collect());
            self.0.engine.send_replace(Arc::new(engine));
        }
        if !is_same {
            self.0.registry.replace(pipelines);
        }
    }

    /// Writes down what comes into force.
    async fn record(&self, frame: Option<&Engine>, changes: &[Change]) -> Result<()> {
        let engine = self.engine();
        let ledger = &engine.ledger;
        if let Some(Engine { config, policy, .. }) = frame {
            let (old, new) = (&engine.config.digest, &config.digest);
            if old != new {
                audit::record(ledger, ACTOR, Action::ConfigChange, &format!("from {old} to {new}")).await?;
                tracing::info!(%old, %new, "another configuration");
            }
            trail::policy_in_force(ledger, policy).await?;
            let (old, new) = (&engine.policy.digest, &policy.digest);
            if old != new {
                tracing::info!(policy = policy.name, %old, %new, "another policy, in force from the next run on");
            }
        }
        let subjects: Vec<String> = changes.iter().map(ToString::to_string).collect();
        audit::record_each(ledger, ACTOR, Action::PipelineChange, &subjects).await
    }

    /// Tells what is invalid, once; answers with how many documents that are.
    fn tell_invalid(&self, seen: &Seen, mut invalid: Vec<Invalid>) -> usize {
        let others = settle::unreadable(seen, &[], &[]);
        for problem in following::told(&self.engine().pipelines, &others) {
            let in_force = seen.get(&problem.file).and_then(|known| Some(known.valid.as_ref()?.name.clone()));
            invalid.push(Invalid { in_force, ..Invalid::of(Problems::from(problem)) });
        }
        for (path, document) in seen {
            if let Some(problems) = &document.problems {
                let in_force = document.valid.as_ref().map(|pipeline| pipeline.name.clone());
                invalid.push(Invalid { path: path.clone(), in_force, problems: problems.clone() });
            }
        }
        let known = self.problems();
        let (before, after) = (by_path(&known), by_path(&invalid));
        let is_known = |one: &&Invalid| {
            before.get(one.path.as_path()).is_some_and(|known| known.iter().any(|known| known.is_as(one)))
        };
        for one in invalid.iter().filter(|one| !is_known(one)) {
            let in_force = one.in_force.as_ref().map_or("nothing", PipelineName::as_str);
            tracing::warn!(file = %one.path.display(), in_force, "not in force as it is written\n{}", one.problems);
        }
        for one in known.iter().filter(|known| !after.contains_key(known.path.as_path())) {
            tracing::info!(file = %one.path.display(), "no longer invalid");
        }
        let count = invalid.len();
        self.0.invalid.send_replace(Arc::new(invalid));
        count
    }
}

impl Invalid {
    /// Of problems that are of one document, and no pipeline's.
    fn of(problems: Problems) -> Self {
        let path = problems.iter().next().map(|problem| problem.file.clone()).unwrap_or_default();
        Self { path, in_force: None, problems }
    }

    /// Whether it says the same of the same document.
    fn is_as(&self, other: &Self) -> bool {
        self.path == other.path && self.problems.render(false) == other.problems.render(false)
    }
}

fn by_path(invalid: &[Invalid]) -> BTreeMap<&Path, Vec<&Invalid>> {
    let mut by_path: BTreeMap<&Path, Vec<&Invalid>> = BTreeMap::new();
    for one in invalid {
        by_path.entry(&one.path).or_default().push(one);
    }
    by_path
}

/// What was found on disk, and what comes of it.
struct Sight {
    /// Configuration and policy, where they are others and valid; the pipelines are the old ones.
    frame: Option<Engine>,
    /// What is wrong with them.
    wrong: Option<Invalid>,
    /// What is wrong with the folder; then nothing is found in it.
    folder: Option<Problems>,
    gone: Vec<PathBuf>,
    settled: Vec<(PathBuf, Document)>,
    same: Vec<(PathBuf, Option<disk::Stamp>)>,
    read: usize,
    resolved: usize,
}

impl Sight {
    fn of(seen: &Seen, engine: &Engine, cause: Cause) -> Self {
        let (frame, wrong) = match look::frame(engine) {
            Ok(frame) => (frame, None),
            Err(problems) => (None, Some(Invalid::of(problems))),
        };
        let config = &frame.as_ref().unwrap_or(engine).config;
        let reader = Reader::new(config);
        let anew = !reader.reads_as(&Reader::new(&engine.config));
        let looked = look::look(seen, &config.pipelines, &reader, anew).and_then(|found| {
            if cause == Cause::Watched {
                settle::expect_some_left(seen, &found, &config.pipelines)?;
            }
            Ok(found)
        });
        let (found, folder) = match looked {
            Ok(found) => (found, None),
            Err(problems) => (Found::default(), Some(problems)),
        };
        let Found { gone, changed, same } = found;
        let resolved = changed.len();
        let read = resolved + same.len();
        let settled = settle::settle(seen, &gone, changed, &reader);
        Self { frame, wrong, folder, gone, settled, same, read, resolved }
    }
}

/// The pipelines that are in force once the documents are settled.
fn after(seen: &Seen, before: &Pipelines, gone: &[PathBuf], settled: &[(PathBuf, Document)]) -> Pipelines {
    let mut after = before.clone();
    let touched = gone.iter().chain(settled.iter().map(|(path, _)| path));
    for pipeline in touched.filter_map(|path| seen.get(path)?.valid.as_ref()) {
        after.remove(&pipeline.name);
    }
    for pipeline in settled.iter().filter_map(|(_, document)| document.valid.as_ref()) {
        after.insert(pipeline.name.clone(), Arc::clone(pipeline));
    }
    after
}

/// A pipeline that is otherwise than it was.
struct Change {
    name: PipelineName,
    old: Option<String>,
    new: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
        write!(f, "{} from {} to {}", self.name, shown(&self.old), shown(&self.new))
    }
}

fn changes(
    before: &Pipelines,
    after: &Pipelines,
    seen: &Seen,
    settled: &[(PathBuf, Document)],
) -> Vec<Change> {
    let digest = |pipelines: &Pipelines, name: &PipelineName| Some(pipelines.get(name)?.digest.clone());
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let old = settled.iter().filter_map(|(path, _)| Some(&seen.get(path)?.valid.as_ref()?.name));
    let new = settled.iter().filter_map(|(_, document)| Some(&document.valid.as_ref()?.name));
    let names: BTreeSet<&PipelineName> = gone.chain(old).chain(new).collect();
    let change = |name: &PipelineName| {
        let (old, new) = (digest(before, name), digest(after, name));
        (old != new).then(|| Change { name: name.clone(), old, new })
    };
    names.into_iter().filter_map(change).collect()
}

/// Work on files, away from the tasks that answer requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        Error::failed("reading the documents was cut off").help("the log of the daemon tells where")
    })
}
