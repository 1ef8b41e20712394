//! Sizes and durations as people write them.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::spec::faults::quoted;

/// Bytes of `512MiB`, `1GiB`, `64 KB`: a whole number and a unit.
pub(crate) fn size_bytes(text: &str) -> Result<u64> {
    let refused = || {
        Error::invalid(format!("{} is not a size", quoted(text)))
            .help("write a whole number with a unit: B, KiB, MiB, GiB or TiB, such as 512MiB")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(refused()),
    };
    number.checked_mul(unit).ok_or_else(refused)
}

/// As [`size_bytes`], within bounds.
pub(crate) fn size_within(low: &str, high: &str, text: &str) -> Result<u64> {
    let bytes = size_bytes(text)?;
    if (size_bytes(low)?..=size_bytes(high)?).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Error::invalid(format!("{} is out of bounds", quoted(text)))
            .help(format!("write a size from {low} to {high}")))
    }
}

/// A duration such as `90s` or `5m`, within bounds.
pub(crate) fn duration_within(low: &str, high: &str, text: &str) -> Result<Duration> {
    let parse = |text: &str| {
        humantime::parse_duration(text).map_err(|_| {
            Error::invalid(format!("{} is not a duration", quoted(text)))
                .help("write a number with a unit: s, m, h or days, such as 5m")
        })
    };
    let duration = parse(text)?;
    if (parse(low)?..=parse(high)?).contains(&duration) {
        Ok(duration)
    } else {
        Err(Error::invalid(format!("{} is out of bounds", quoted(text)))
            .help(format!("write a duration from {low} to {high}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit_and_fit() {
        assert_eq!(size_bytes("512MiB").unwrap(), 512 << 20);
        assert_eq!(size_bytes("1 GB").unwrap(), 1_000_000_000);
        for bad in ["512", "MiB", "-1MiB", "1.5GiB", "99999999TiB", "512mib", ""] {
            assert!(size_bytes(bad).is_err(), "{bad}");
        }
    }
}
