//! A sample of the rows that pass, column by column, nested ones part by part.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::finding::Finding;
use super::values::Sample;
use super::weigh::Named;

/// Most parts of a table that are looked at; what lies behind is never called `internal` by its values.
const MOST_PARTS: usize = 2_048;

/// A bounded sample of the values of each part of a table. No `Debug`: it holds values, which are wiped at its end.
pub struct Survey {
    parts: Vec<Part>,
}

struct Part {
    /// Dotted name; elements of a list go by the list's.
    name: String,
    data_type: DataType,
    nullable: bool,
    sample: Sample,
}

/// What was found of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Dotted name.
    pub name: String,
    /// What.
    pub finding: Finding,
}

impl Survey {
    /// An empty sample of rows of this schema.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        let mut parts = Vec::new();
        for field in schema.fields() {
            below(field.name().clone(), field, &mut parts);
        }
        Self { parts }
    }

    /// Takes some values of a batch of that schema.
    pub fn observe(&mut self, batch: &RecordBatch) {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.parts.len());
        batch.columns().iter().for_each(|array| leaves(array, &mut arrays));
        for (part, array) in self.parts.iter_mut().zip(arrays) {
            part.sample.observe(array.as_ref());
        }
    }

    /// The parts, as they are described.
    pub(super) fn named(&self) -> Vec<Named> {
        let named = |part: &Part| Named {
            name: part.name.clone(),
            data_type: part.data_type.clone(),
            nullable: part.nullable,
        };
        self.parts.iter().map(named).collect()
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.parts.iter().map(|part| &part.sample)
    }
}

/// The parts of a field, in the order of [`leaves`].
fn below(name: String, field: &Field, parts: &mut Vec<Part>) {
    match field.data_type() {
        DataType::Struct(fields) => {
            for field in fields {
                below(format!("{name}.{}", field.name()), field, parts);
            }
        }
        DataType::List(element) | DataType::LargeList(element) => below(name, element, parts),
        data_type if parts.len() < MOST_PARTS => parts.push(Part {
            name,
            data_type: data_type.clone(),
            nullable: field.is_nullable(),
            sample: Sample::default(),
        }),
        _ => {}
    }
}

/// The arrays of the parts of one column: values below a NULL are not told from others.
fn leaves(array: &ArrayRef, out: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|array| leaves(array, out)),
        DataType::List(_) => leaves(array.as_list::<i32>().values(), out),
        DataType::LargeList(_) => leaves(array.as_list::<i64>().values(), out),
        _ => out.push(Arc::clone(array)),
    }
}
