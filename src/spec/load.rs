//! Documents from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cases::PolicyTest;
use super::decode::decode;
use super::faults::{Fault, Faults, nearest, quoted};
use super::folder::documents_in;
use super::follow::check_followed;
use super::problem::{Problem, Problems};
use super::raw::placed::Placed;
use super::reader::Reader;
use super::resolve::{Context, Known};
use super::text::Text;
use super::tree::{self, Node, Value};
use super::{Config, Pipeline, Policy, raw, resolve};

/// The kinds of documents, as `kind:` names them.
const KINDS: [&str; 4] = ["Config", "Pipeline", "Policy", "PolicyTest"];

/// Everything that is wrong with what was read.
pub(super) type Found<T> = Result<T, Vec<Problem>>;

impl Config {
    /// Reads a configuration document.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = Text::read(path).map_err(|problem| Problems::from(*problem))?;
        document(&text, "Config", resolve::config::config).map_err(Problems::of)
    }
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = Text::read(path).map_err(|problem| Problems::from(*problem))?;
        document(&text, "Policy", resolve::policy::policy).map_err(Problems::of)
    }
}

impl PolicyTest {
    /// Reads the tests of a policy.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = Text::read(path).map_err(|problem| Problems::from(*problem))?;
        document(&text, "PolicyTest", resolve::cases::policy_test).map_err(Problems::of)
    }
}

impl Pipeline {
    /// Reads a pipeline document and checks the names in it against a configuration.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn load(path: &Path, config: &Config) -> Result<Self, Problems> {
        Reader::new(config).read(path)
    }

    /// Reads a pipeline document by itself: names of connections and stores are taken as they are.
    ///
    /// # Errors
    /// Every problem of the document.
    pub fn load_alone(path: &Path) -> Result<Self, Problems> {
        Reader::default().read(path)
    }
}

/// Reads a configuration and everything it names: the policy and all pipelines, in path order.
///
/// # Errors
/// Every problem of every document.
pub fn load_all(config_path: &Path) -> Result<(Config, Policy, Vec<Pipeline>), Problems> {
    whole(gather(config_path, Depth::Pipelines)?)
}

/// As [`load_all`], and tells as well where a pipeline asks for less than the policy does, which
/// otherwise holds its run (exit 76).
///
/// # Errors
/// Every problem of every document.
pub fn check_all(config_path: &Path) -> Result<(Config, Policy, Vec<Pipeline>), Problems> {
    whole(gather(config_path, Depth::Checked)?)
}

/// Reads a configuration and its policy, without the pipelines.
///
/// # Errors
/// Every problem of both documents, and a pipelines folder that is not there.
pub fn load_frame(config_path: &Path) -> Result<(Config, Policy), Problems> {
    whole(gather(config_path, Depth::Frame)?).map(|(config, policy, _)| (config, policy))
}

/// How far a configuration is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// To the policy.
    Frame,
    /// To every pipeline by itself.
    Pipelines,
    /// To what the policy says of each pipeline.
    Checked,
}

/// What was read, as far as it is valid.
struct Gathered {
    path: PathBuf,
    config: Option<Config>,
    policy: Option<Policy>,
    pipelines: Vec<Pipeline>,
    problems: Vec<Problem>,
}

fn whole(gathered: Gathered) -> Result<(Config, Policy, Vec<Pipeline>), Problems> {
    let Gathered { path, config, policy, pipelines, problems } = gathered;
    match (Problems::none(problems), config, policy) {
        (Err(problems), _, _) => Err(problems),
        (Ok(()), Some(config), Some(policy)) => Ok((config, policy, pipelines)),
        (Ok(()), _, _) => Err(Problems::from(unread(&path))),
    }
}

fn gather(config_path: &Path, depth: Depth) -> Result<Gathered, Problems> {
    let text = Text::read(config_path).map_err(|problem| Problems::from(*problem))?;
    let faults = Faults::new(&text);
    let placed = raw_document::<raw::config::Config>(&faults, "Config");
    let raw = placed.as_ref().and_then(Placed::get);
    let config = raw.and_then(|raw| resolve::config::config(raw, &faults));
    let named = |placed: &Placed<String>| Some(text.resolve(placed.get()?));

    let mut problems = Vec::new();
    let policy = raw.and_then(|raw| {
        let path = named(&raw.policy)?;
        if !path.exists() {
            faults.push(absent(&raw.policy, "policy", &path));
            return None;
        }
        keep(
            Text::read(&path)
                .map_err(|problem| vec![*problem])
                .and_then(|text| document(&text, "Policy", resolve::policy::policy)),
            &mut problems,
        )
    });
    let mut pipelines = Vec::new();
    if let Some((raw, folder)) = raw.and_then(|raw| Some((raw, named(&raw.pipelines)?))) {
        match if depth == Depth::Frame { is_there(&folder) } else { documents_in(&folder) } {
            Ok(paths) => {
                let policy = policy.as_ref().filter(|_| depth == Depth::Checked);
                let reader = Reader::of_names(Some(Known::of(raw)), policy);
                let (valid, mut wrong, names) = reader.read_all(&paths);
                problems.append(&mut wrong);
                problems.append(&mut check_followed(&valid.iter().collect::<Vec<_>>(), &names));
                pipelines = valid;
            }
            Err(_) if !folder.is_dir() => faults.push(absent(&raw.pipelines, "pipelines folder", &folder)),
            Err(message) => faults.push(Fault::new(raw.pipelines.span, message)),
        }
    }
    let mut all = faults.into_problems();
    all.append(&mut problems);
    Ok(Gathered { path: config_path.to_owned(), config, policy, pipelines, problems: all })
}

/// No document of a folder that is there.
fn is_there(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if folder.is_dir() { Ok(Vec::new()) } else { Err(String::new()) }
}

/// A document that a configuration names and that is not there.
fn absent(placed: &Placed<String>, what: &str, path: &Path) -> Fault {
    Fault::new(placed.span, format!("the {what} {} does not exist", quoted(&path.display().to_string())))
        .help("paths are as seen from the folder of this file")
}

fn keep<T>(found: Found<T>, problems: &mut Vec<Problem>) -> Option<T> {
    found.map_err(|mut found| problems.append(&mut found)).ok()
}

fn unread(path: &Path) -> Problem {
    Problem::of_file(path, "the document cannot be read".to_owned(), None)
}

/// Reads a pipeline document against what other documents say.
pub(super) fn pipeline(text: &Text, context: &Context) -> Found<Pipeline> {
    document(text, "Pipeline", |raw, faults| resolve::pipeline::pipeline(raw, context, faults))
}

/// Reads, decodes and resolves one document.
fn document<R: for<'de> serde::Deserialize<'de>, T>(
    text: &Text,
    kind: &str,
    resolve: impl FnOnce(&R, &Faults<'_>) -> Option<T>,
) -> Found<T> {
    let faults = Faults::new(text);
    let placed = raw_document::<R>(&faults, kind);
    let resolved = placed.as_ref().and_then(Placed::get).and_then(|raw| resolve(raw, &faults));
    let problems = faults.into_problems();
    match resolved {
        Some(resolved) if problems.is_empty() => Ok(resolved),
        // What cannot be resolved was told; should it not have been, it is refused all the same.
        None if problems.is_empty() => Err(vec![unread(&text.path)]),
        _ => Err(problems),
    }
}

/// Reads a text as each kind of document.
#[cfg(test)]
pub(crate) fn check_text(text: &Text) -> [Found<()>; 3] {
    let context = Context::default();
    [
        document(text, "Config", resolve::config::config).map(|_| ()),
        document(text, "Policy", resolve::policy::policy).map(|_| ()),
        pipeline(text, &context).map(|_| ()),
    ]
}

/// A document of the wanted kind, decoded.
fn raw_document<R: for<'de> serde::Deserialize<'de>>(faults: &Faults<'_>, kind: &str) -> Option<Placed<R>> {
    // A configuration is where secrets are referred to.
    faults.cautious.set(kind == "Config");
    let root = mapping(faults)?;
    let written = root.get("kind");
    if let Some(written) = written.filter(|node| node.text() != kind && KINDS.contains(&node.text())) {
        let help = match kind {
            "Pipeline" => "the pipelines folder holds pipelines only: move this file out of it",
            _ => "check which file is named where",
        };
        faults.push(
            Fault::new(written.span, format!("this is a {}, and a {kind} belongs here", written.text()))
                .help(help),
        );
        return None;
    }
    Some(decode(&root, faults))
}

/// The document's tree, if it is a mapping as every document is.
fn mapping(faults: &Faults<'_>) -> Option<Node> {
    let root = tree::parse(faults)?;
    if matches!(root.value, Value::Mapping(_)) {
        return Some(root);
    }
    faults.push(
        Fault::new(root.span, "a document is a mapping (`key: value`), and this is something else")
            .help("begin with `apiVersion: sealift/v1` and `kind:`, each on a line of its own"),
    );
    None
}

/// One valid document of any kind.
#[derive(Clone, Debug)]
pub enum Document {
    /// A configuration.
    Config(Box<Config>),
    /// A policy.
    Policy(Policy),
    /// The tests of a policy.
    PolicyTest(PolicyTest),
    /// A pipeline.
    Pipeline(Box<Pipeline>),
}

/// Reads documents of any kind, told by their `kind:`; a folder stands for the documents in it. Pipelines are checked against the
/// configuration where one is given and can be read.
///
/// # Errors
/// Every problem of every document.
pub fn check_files(paths: &[PathBuf], config_path: &Path) -> Result<Vec<Document>, Problems> {
    let known = Text::read(config_path).ok().and_then(|text| {
        let faults = Faults::new(&text);
        let placed = raw_document::<raw::config::Config>(&faults, "Config")?;
        placed.get().map(Known::of)
    });
    let policy = Config::load(config_path).and_then(|config| Policy::load(&config.policy)).ok();
    let context = Context { known: known.map(Arc::new), policy: policy.map(Arc::new), ..Context::default() };
    let mut problems = Vec::new();
    let mut documents = Vec::new();
    for path in paths {
        let found = if path.is_dir() {
            documents_in(path).map_err(|message| vec![Problem::of_file(path, message, None)])
        } else {
            Ok(vec![path.clone()])
        };
        for file in keep(found, &mut problems).unwrap_or_default() {
            documents.extend(keep(any(&file, &context), &mut problems));
        }
    }
    Problems::none(problems).map(|()| documents)
}

fn any(path: &Path, context: &Context) -> Found<Document> {
    let text = Text::read(path).map_err(|problem| vec![*problem])?;
    let faults = Faults::new(&text);
    let Some(root) = mapping(&faults) else { return Err(faults.into_problems()) };
    let kind = root.get("kind");
    match kind.map(Node::text) {
        Some("Config") => {
            document(&text, "Config", resolve::config::config).map(|c| Document::Config(Box::new(c)))
        }
        Some("Policy") => document(&text, "Policy", resolve::policy::policy).map(Document::Policy),
        Some("PolicyTest") => {
            document(&text, "PolicyTest", resolve::cases::policy_test).map(Document::PolicyTest)
        }
        Some("Pipeline") => pipeline(&text, context).map(|pipeline| Document::Pipeline(Box::new(pipeline))),
        written => {
            let message = match written {
                Some(word) if !word.is_empty() => format!("{} is not a kind of document", quoted(word)),
                _ => "the document does not say what it is".to_owned(),
            };
            let help = match nearest(written.unwrap_or_default(), &KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `kind: Pipeline`, `kind: Policy` or `kind: Config`".to_owned(),
            };
            let span = kind.map_or(root.span, |kind| kind.span);
            faults.push(Fault::new(span, message).help(help));
            Err(faults.into_problems())
        }
    }
}
