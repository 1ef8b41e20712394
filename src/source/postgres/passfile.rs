//! Passwords from libpq's password file.
//!
//! Format: PostgreSQL documentation, "The Password File": lines of `host:port:database:user:password`,
//! `*` for any, `\:` and `\\` escaped, the first line that fits counts, `#` begins a comment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::spec::config;

/// A file larger than this is no password file.
const MOST_BYTES: u64 = 1 << 20;

/// The password for this connection: from the file it names, else from `PGPASSFILE` or `~/.pgpass`.
/// `None` where no line fits.
///
/// # Errors
/// `Invalid` when the file that is named cannot be read, or others can read it. A default file that
/// others can read is passed over, as libpq does.
pub(super) fn password(settings: &config::Postgres) -> Result<Option<Secret>> {
    if let Some(path) = &settings.passfile {
        let text = read(path)?;
        return Ok(find(text.expose_str()?, settings));
    }
    let Some(path) = default_path() else { return Ok(None) };
    if !path.exists() {
        return Ok(None);
    }
    match read(&path) {
        Ok(text) => Ok(find(text.expose_str()?, settings)),
        Err(error) => {
            tracing::warn!(%error, "the password file is passed over");
            Ok(None)
        }
    }
}

fn default_path() -> Option<PathBuf> {
    std::env::var_os("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass")))
}

fn read(path: &Path) -> Result<Secret> {
    let shown = path.display();
    let unreadable =
        |e: std::io::Error| Error::invalid(format!("cannot read the password file {shown}: {}", e.kind()));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::invalid(format!("others can read the password file {shown}"))
            .help(format!("chmod 600 {shown}")));
    }
    if metadata.len() > MOST_BYTES {
        return Err(
            Error::invalid(format!("{shown} is too large for a password file")).help("check `passfile`")
        );
    }
    fs::read(path).map(Secret::new).map_err(unreadable)
}

/// The password of the first line that fits.
fn find(text: &str, settings: &config::Postgres) -> Option<Secret> {
    let port = settings.port.to_string();
    let wanted = [&settings.host, &port, &settings.database, &settings.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (fields, password) = split(line)?;
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| Secret::new(password.into_bytes()))
    })
}

/// Four fields and what is behind them.
fn split(line: &str) -> Option<([String; 4], String)> {
    let mut fields: [String; 5] = Default::default();
    let mut at = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' if at < 4 => at += 1,
            '\\' => fields[at].extend(chars.next()),
            _ => fields[at].push(c),
        }
    }
    let [host, port, database, user, password] = fields;
    (at == 4).then_some(([host, port, database, user], password))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::spec::config::Tls;

    fn settings(passfile: Option<PathBuf>) -> config::Postgres {
        config::Postgres {
            host: "db.example".into(),
            port: 5432,
            database: "crm".into(),
            user: "reader".into(),
            password: None,
            passfile,
            tls: Tls::VerifyFull,
            ca_file: None,
            statement_timeout: None,
            limits: config::Limits::default(),
            throttle: None,
        }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# db.example:5432:crm:reader:comment\nother:*:*:*:no\nbroken:line\n\
            db.example:5432:crm:reader:a\\:b\\\\c:d\n*:*:*:*:late";
        assert_eq!(find(text, &settings(None)).unwrap().expose(), br"a:b\c:d");
        assert!(find("db.example:5432:crm:someone:x", &settings(None)).is_none());
        assert_eq!(find("*:*:*:reader:", &settings(None)).unwrap().expose(), b"");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:pw").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let settings = settings(Some(path.clone()));
        let error = password(&settings).unwrap_err();
        assert!(error.remedy().unwrap().starts_with("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password(&settings).unwrap().unwrap().expose(), b"pw");
    }
}
