//! Values fetched one by one, each at its own length: never cut, and refused beyond a bound.

use arrow_odbc::odbc_api::buffers::Indicator;
use arrow_odbc::odbc_api::handles::{CData, CDataMut};
use arrow_odbc::odbc_api::parameter::{Binary, CElement, VarCell, VarKind, WideText};
use arrow_odbc::odbc_api::{CursorRow, Error as OdbcError};

use super::error::Subject;
use super::link::Link;
use crate::error::Error;

/// Most bytes of one value, as the driver gives it (two for most characters).
pub(super) const MOST_BYTES: usize = 64 << 20;
/// Room for a value at first; most fit.
const FIRST_ROOM: usize = 4096;

/// Why a value was not fetched.
#[derive(Debug)]
pub(super) enum Fault {
    Driver(OdbcError),
    TooLong,
    /// The driver gives lengths that cannot be.
    Odd,
}

impl Fault {
    pub(super) fn told(&self, link: &Link, subject: &Subject) -> Error {
        match self {
            Self::Driver(error) => link.fault(error, subject),
            Self::TooLong => Error::data("a value is longer than 64 MiB, the most that is carried by ODBC")
                .help("leave the column out, or read a part of it with a query; nothing was cut"),
            Self::Odd => Error::failed("the ODBC driver gives a length that cannot be"),
        }
    }
}

/// Fetches text as UTF-16.
pub(super) fn wide(row: &mut CursorRow<'_>, column: u16, value: &mut Vec<u16>) -> Result<Indicator, Fault> {
    fetch::<WideText>(row, column, value, 0, 1)
}

/// Fetches bytes.
pub(super) fn binary(row: &mut CursorRow<'_>, column: u16, value: &mut Vec<u8>) -> Result<Indicator, Fault> {
    fetch::<Binary>(row, column, value, 0, 0)
}

/// Fetches in parts until the driver says that it gave all; `zeroes` elements end each part.
fn fetch<K>(
    row: &mut CursorRow<'_>,
    column: u16,
    value: &mut Vec<K::Element>,
    zero: K::Element,
    zeroes: usize,
) -> Result<Indicator, Fault>
where
    K: VarKind,
    K::Element: Copy,
    for<'a> VarCell<&'a mut [K::Element], K>: CElement + CData + CDataMut,
{
    let width = size_of::<K::Element>();
    value.clear();
    let mut room = FIRST_ROOM;
    loop {
        let done = value.len();
        value.resize(done + room + zeroes, zero);
        let mut part = VarCell::<&mut [K::Element], K>::from_buffer(&mut value[done..], Indicator::Null);
        row.get_data(column, &mut part).map_err(Fault::Driver)?;
        match part.indicator() {
            Indicator::Null if done == 0 => {
                value.clear();
                return Ok(Indicator::Null);
            }
            Indicator::Null => return Err(Fault::Odd),
            Indicator::Length(bytes) if bytes <= room * width => {
                value.truncate(done + bytes / width);
                return Ok(Indicator::Length(value.len() * width));
            }
            Indicator::Length(bytes) => {
                // The part is full, and this is what there was before it was taken.
                value.truncate(done + room);
                room = (bytes / width).saturating_sub(room).max(1);
            }
            Indicator::NoTotal => {
                value.truncate(done + room);
                room = value.len();
            }
        }
        if value.len() * width >= MOST_BYTES {
            return Err(Fault::TooLong);
        }
        room = room.min(MOST_BYTES / width - value.len());
    }
}
