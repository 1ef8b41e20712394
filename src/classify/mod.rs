//! Which class of data each output column holds, and how we know.
//!
//! Two things speak: what people [declare], and what is found. A [`Survey`] keeps a bounded sample of the rows that
//! pass, by column; [`values`] counts what its values satisfy, [`names`] reads what columns are called, and
//! [`weigh()`] makes one [`Finding`] of it, with evidence that holds no values. [`Classifier`] is all of that, with
//! what the policy adds. Nothing here asks a network or loads a model.
//!
//! [declare]: declared()

mod classifier;
pub mod declared;
pub mod finding;
pub mod names;
mod survey;
pub mod values;
mod weigh;

pub use classifier::Classifier;
pub use declared::{check_names, declared, lower, undeclared};
pub use finding::{Evidence, Finding, Seen};
pub use survey::{Found, Survey};
pub use values::find;
pub use weigh::weigh;
