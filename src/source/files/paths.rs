//! Which files a path glob stands for, and whether they are still what they were.
//!
//! The glob is matched part by part below the connection's root, so only folders that can hold a
//! match are opened, and nothing outside the root is ever reached. A link out of the root is an
//! error, not a gap. Names with a leading dot (half-written uploads, editors' files) match only a
//! part that starts with a dot itself.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};

/// Most files one stream may stand for: the list is held in memory.
const FILES_MAX: usize = 100_000;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    device: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// One matched file.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Path below the root, as people write it.
    pub(super) name: String,
    /// Real path, free of links.
    path: PathBuf,
    /// Its state when it was found.
    pub(super) stamp: Stamp,
}

impl Input {
    /// Opens the file if it is still the one that was found.
    ///
    /// # Errors
    /// `Invalid` when it may not be read, `Temporary` when it changed or went away.
    pub(super) fn open(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(|cause| unreadable(&self.path, &cause))?;
        self.unchanged(&file)?;
        Ok(file)
    }

    /// Checks that nobody wrote to the file since it was found.
    ///
    /// # Errors
    /// `Temporary` when size or time of change differ.
    pub(super) fn unchanged(&self, file: &File) -> Result<()> {
        let metadata = file.metadata().map_err(|cause| unreadable(&self.path, &cause))?;
        if Stamp::of(&metadata) == self.stamp {
            return Ok(());
        }
        Err(Error::temporary(format!("file {} changed while it was being read", self.name))
            .help("run again once it is complete; writers should rename finished files into place"))
    }

    /// One line that names the file and its state, for the snapshot's digest.
    pub(super) fn fingerprint(&self) -> String {
        let Stamp { size_bytes, modified_s, modified_ns, .. } = self.stamp;
        format!("{}\0{size_bytes}\0{modified_s}.{modified_ns:09}\n", self.name)
    }
}

/// The error for a file or folder that the system does not let us read.
pub(super) fn unreadable(path: &Path, cause: &io::Error) -> Error {
    let path = path.display();
    match cause.kind() {
        io::ErrorKind::PermissionDenied => Error::invalid(format!("cannot read {path}: permission denied"))
            .help("let the account that runs sealift read it"),
        io::ErrorKind::NotFound => Error::temporary(format!("{path} went away while it was being read")),
        kind => Error::temporary(format!("cannot read {path}: {kind}")),
    }
}

/// A path glob, checked.
pub(super) struct Pattern {
    written: String,
    parts: Vec<Part>,
}

enum Part {
    /// `**`: any number of folders.
    Folders,
    /// A name or a glob of names.
    Name { written: String, glob: GlobMatcher },
}

impl Pattern {
    /// Reads a glob such as `2024/**/orders*.csv`.
    ///
    /// # Errors
    /// `Invalid` when it is empty, absolute, climbs with `..` or is not a glob.
    pub(super) fn parse(written: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("path `{written}` {why}"))
                .help("write a path below the connection's root, such as customers*.csv or 2024/**/*.csv")
        };
        if written.starts_with('/') {
            return Err(wrong("is absolute"));
        }
        let mut parts: Vec<Part> = Vec::new();
        for part in written.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => return Err(wrong("leaves the connection's root")),
                "**" if matches!(parts.last(), Some(Part::Folders)) => {}
                "**" => parts.push(Part::Folders),
                _ => parts.push(Part::name(part).ok_or_else(|| wrong("is not a valid glob"))?),
            }
        }
        match parts.last() {
            None => return Err(wrong("names no file")),
            Some(Part::Folders) => parts.extend(Part::name("*")),
            Some(Part::Name { .. }) => {}
        }
        Ok(Self { written: written.to_owned(), parts })
    }

    /// The files it stands for below `root` (a real path), sorted by name, each file once.
    ///
    /// # Errors
    /// `Invalid` when there is none (naming the folder and the nearest file), when a link leaves
    /// the root, when a folder may not be listed or there are more than 100,000 files.
    pub(super) fn find(&self, root: &Path) -> Result<Vec<Input>> {
        let mut search = Search { root, found: BTreeMap::new() };
        search.walk(root, &self.parts)?;
        if search.found.is_empty() {
            return Err(self.nothing(root));
        }
        let mut inputs: Vec<Input> = search.found.into_values().collect();
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(inputs)
    }

    fn nothing(&self, root: &Path) -> Error {
        let mut folder = root.to_path_buf();
        for part in &self.parts {
            match part {
                Part::Name { written, .. } if folder.join(written).is_dir() => folder.push(written),
                _ => break,
            }
        }
        let error = Error::invalid(format!("no file matches `{}` in {}", self.written, folder.display()));
        let wanted = self.written.rsplit('/').next().unwrap_or_default();
        let nearest = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !name.starts_with('.'))
            .max_by_key(|name| (nearness(name, wanted), std::cmp::Reverse(name.clone())));
        match nearest {
            Some(name) => error.help(format!("the nearest name there is `{name}`")),
            None => error.help("the folder is empty: is the connection's root right?"),
        }
    }
}

fn nearness(name: &str, wanted: &str) -> u64 {
    // A share of 0 to 1, as an integer so that it can be ordered.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 0 to 1")]
    let thousandths = (strsim::normalized_levenshtein(name, wanted) * 1000.0) as u64;
    thousandths
}

impl Part {
    fn name(written: &str) -> Option<Self> {
        let glob = GlobBuilder::new(written).literal_separator(true).build().ok()?.compile_matcher();
        Some(Self::Name { written: written.to_owned(), glob })
    }
}

struct Search<'a> {
    root: &'a Path,
    /// By real path, so that a file with two names is read once.
    found: BTreeMap<PathBuf, Input>,
}

impl Search<'_> {
    /// Adds what `parts` match in `folder`, whose links are resolved.
    fn walk(&mut self, folder: &Path, parts: &[Part]) -> Result<()> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        if matches!(part, Part::Folders) {
            self.walk(folder, rest)?;
        }
        for entry in fs::read_dir(folder).map_err(|cause| unreadable(folder, &cause))? {
            let entry = entry.map_err(|cause| unreadable(folder, &cause))?;
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            let path = entry.path();
            let kind = entry.file_type().map_err(|cause| unreadable(&path, &cause))?;
            match part {
                Part::Folders if hidden || kind.is_file() => {}
                // A link to a folder inside is not followed: its files are met under their own names.
                Part::Folders if kind.is_symlink() => drop(self.resolve(&path)?),
                Part::Folders if kind.is_dir() => self.walk(&path, parts)?,
                Part::Folders => {}
                Part::Name { written, glob } => {
                    if (!hidden || written.starts_with('.')) && glob.is_match(&name) {
                        self.take(&path, rest)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A path that matches its part: descends, or adds the file.
    fn take(&mut self, path: &Path, rest: &[Part]) -> Result<()> {
        let real = self.resolve(path)?;
        let metadata = fs::metadata(&real).map_err(|cause| unreadable(path, &cause))?;
        if metadata.is_dir() {
            return self.walk(&real, rest);
        }
        if !rest.is_empty() || !metadata.is_file() {
            return Ok(());
        }
        if self.found.len() >= FILES_MAX {
            return Err(Error::invalid(format!("more than {FILES_MAX} files match"))
                .help("narrow the path or read them as several streams"));
        }
        let name = real.strip_prefix(self.root).unwrap_or(&real).to_string_lossy().into_owned();
        let stamp = Stamp::of(&metadata);
        self.found.insert(real.clone(), Input { name, path: real, stamp });
        Ok(())
    }

    /// The real path behind `path`, which must lie below the root.
    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let real = fs::canonicalize(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => {
                Error::invalid(format!("{} is a link to nothing, or went away", path.display()))
                    .help("bring back the file behind it, or remove the link")
            }
            _ => unreadable(path, &cause),
        })?;
        if real.starts_with(self.root) {
            return Ok(real);
        }
        Err(Error::invalid(format!("{} is a link that leaves the connection's root", path.display()))
            .help("copy the files below the root, or make a connection for the other folder"))
    }
}
