//! The files of a backup, before they are sealed and after they were opened.
//!
//! ```text
//! for each  path length u32 | path, UTF-8, `/` between folders | content length u32 | content
//! ```
//!
//! Integers are big-endian; files are in the order of their paths, each once.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Files by their path in the folder.
pub(super) type Files = BTreeMap<String, Secret>;

/// `None` where a file has 4 GiB or more.
pub(super) fn encode(files: &Files) -> Option<Zeroizing<Vec<u8>>> {
    // Never grown, so that no copy of it is left behind.
    let bytes = files.iter().map(|(path, content)| path.len() + content.expose().len() + 8).sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes));
    for (path, content) in files {
        for part in [path.as_bytes(), content.expose()] {
            plain.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
            plain.extend_from_slice(part);
        }
    }
    Some(plain)
}

/// `None` for what [`encode`] did not write.
pub(super) fn decode(mut plain: &[u8]) -> Option<Files> {
    let mut files = Files::new();
    let mut part = || {
        let (length, rest) = plain.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        plain = rest;
        Some(part)
    };
    while let Some(path) = part() {
        let path = std::str::from_utf8(path).ok()?.to_owned();
        if files.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return None;
        }
        files.insert(path, Secret::new(part()?.to_vec()));
    }
    plain.is_empty().then_some(files)
}
