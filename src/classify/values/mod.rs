//! What the values of a sample say.
//!
//! [`Sample`] collects a bounded number of distinct values of one column; [`Detectors::tally`] counts which
//! detectors they satisfy and which forms they have; [`find`] marks what is sensitive inside free text.
//! Nothing that leaves this module holds a value, except the byte ranges of [`Span`].
pub mod check;
pub mod custom;
mod detector;
pub mod detectors;
pub mod dictionary;
mod form;
mod judge;
pub mod sample;
pub mod scan;
mod set;
pub mod tally;

pub use custom::{Checksum, Custom, Test};
pub use detector::coverage;
pub use detectors::Detectors;
pub use sample::{Kind, Limits, Sample};
pub use scan::{Span, find};
pub use tally::{Hit, Shape, Tally};
#[cfg(test)]
mod chance_test;
#[cfg(test)]
mod tally_test;
