//! The folder that documents lie in, and reading many of them.

use std::path::{Path, PathBuf};

use super::faults::quoted;

/// Deepest folder below the pipelines folder that is searched.
const MAX_FOLDERS: usize = 16;
/// Most documents in a pipelines folder.
const MAX_DOCUMENTS: usize = 100_000;
/// Most threads that read documents.
const MOST_READERS: usize = 8;
/// So many documents are one thread's; further ones are worth another.
const FEW: usize = 64;

/// The `*.yaml` and `*.yml` files below a folder, sorted. Hidden files and folders are left out, and folders
/// behind symbolic links, which can form loops.
pub(crate) fn documents_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    search(folder, 0, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let cannot = |error: &std::io::Error| {
        format!("cannot read the folder {}: {}", quoted(&folder.display().to_string()), error.kind())
    };
    if depth > MAX_FOLDERS {
        return Err(format!("folders are nested more than {MAX_FOLDERS} deep"));
    }
    for entry in std::fs::read_dir(folder).map_err(|e| cannot(&e))? {
        let entry = entry.map_err(|e| cannot(&e))?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| cannot(&e))?;
        if kind.is_dir() {
            search(&path, depth + 1, found)?;
        } else if is_named_so(&path) && (kind.is_file() || !path.is_dir()) {
            if found.len() == MAX_DOCUMENTS {
                return Err(format!("the folder holds more than {MAX_DOCUMENTS} documents"));
            }
            found.push(path);
        }
    }
    Ok(())
}

fn is_named_so(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// What `read` makes of each item, in their order; many are read by several threads.
pub(crate) fn read_each<I: Sync, T: Send>(items: &[I], read: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let readers = cores.min(MOST_READERS).min(items.len().div_ceil(FEW)).max(1);
    let all = |items: &[I]| items.iter().map(&read).collect::<Vec<T>>();
    if readers == 1 {
        return all(items);
    }
    std::thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(readers));
        let reading: Vec<_> = parts.map(|part| scope.spawn(|| all(part))).collect();
        let read = reading.into_iter().map(std::thread::ScopedJoinHandle::join);
        read.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_read_in_their_order() {
        let numbers: Vec<u32> = (0..1000).collect();
        assert_eq!(read_each(&numbers, |number| number * 2), (0..1000).map(|n| n * 2).collect::<Vec<u32>>());
        assert!(read_each(&[], |number: &u32| *number).is_empty());
    }
}
