//! A sample of the rows that pass, column by column, nested ones part by part.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde_json::{Value, json};

use super::finding::{Evidence, Finding, VERSION};
use super::values::Sample;
use super::weigh::Named;

/// Most parts of a table that are looked at; what lies behind is never called `internal` by its values.
const MOST_PARTS: usize = 2_048;

/// A bounded sample of the values of each part of a table. No `Debug`: it holds values, which are wiped at its end.
pub struct Survey {
    parts: Vec<Part>,
}

struct Part {
    /// Dotted name; elements of a list go by the list's, those of a map are its `key` and its `value`.
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

impl Found {
    /// The finding for programs: `{"column","tag","confidence","evidence","version"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Finding { tag, confidence, evidence } = &self.finding;
        json!({
            "column": self.name, "tag": tag, "confidence": (confidence * 1000.0).round() / 1000.0,
            "evidence": evidence.iter().map(Evidence::to_json).collect::<Vec<_>>(), "version": VERSION,
        })
    }
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
        DataType::Map(entries, _) => {
            for (part, field) in entries_of(entries) {
                below(format!("{name}.{part}"), field, parts);
            }
        }
        data_type if parts.len() < MOST_PARTS => parts.push(Part {
            name,
            data_type: data_type.clone(),
            nullable: field.is_nullable(),
            sample: Sample::default(),
        }),
        _ => {}
    }
}

/// The key and the value of a map, by the names that their published columns have.
pub(super) fn entries_of(entries: &Field) -> impl Iterator<Item = (&'static str, &FieldRef)> {
    let fields: &[FieldRef] = match entries.data_type() {
        DataType::Struct(fields) => fields,
        _ => &[],
    };
    ["key", "value"].into_iter().zip(fields)
}

/// The arrays of the parts of one column: values below a NULL are not told from others.
fn leaves(array: &ArrayRef, out: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|array| leaves(array, out)),
        DataType::List(_) => leaves(array.as_list::<i32>().values(), out),
        DataType::LargeList(_) => leaves(array.as_list::<i64>().values(), out),
        DataType::Map(..) => {
            let map = array.as_map();
            leaves(map.keys(), out);
            leaves(map.values(), out);
        }
        _ => out.push(Arc::clone(array)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{MapArray, StringArray};

    use super::*;
    use crate::classify::Classifier;
    use crate::spec::classification::Classification;

    #[test]
    fn keys_and_values_of_maps_are_looked_at() {
        let kinds = (0..200).map(|id| if id % 2 == 0 { "first" } else { "second" });
        let mails = |count: u32| (0..count).map(|id| format!("user{id}@mail.example.com"));
        let offsets: Vec<u32> = (0..=100).map(|row| row * 2).collect();
        let values = StringArray::from_iter_values(mails(200));
        let map = Arc::new(MapArray::new_from_strings(kinds, &values, &offsets).unwrap()) as ArrayRef;
        let last = Arc::new(StringArray::from_iter_values(mails(100))) as ArrayRef;
        let columns = [("c1", map), ("c2", last)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut survey = Survey::of(batch.schema_ref());
        survey.observe(&batch);
        let found = Classifier::new(&Classification::default()).unwrap().findings(&survey);
        let tags: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.finding.tag.as_str())).collect();
        assert_eq!(tags.first().map(|one| one.0), Some("c1.key"));
        assert_eq!(tags.get(1..), Some([("c1.value", "pii.email"), ("c2", "pii.email")].as_slice()));
    }
}
