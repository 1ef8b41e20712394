//! The comparison itself: one rule for each kind of difference.

use std::collections::BTreeMap;

use arrow::datatypes::{Field, Schema};

use super::reshape::Reshape;
use super::{Change, ChangeKind, Comparison, Planned, Predecessor, Then, top};
use crate::protect::Decision;
use crate::publish::{Decided, Evolution, Mode, Shift, shift, type_name};
use crate::spec::Action;
use crate::spec::contract::{Change as May, SchemaContract};

const OVERWRITE_ONCE: &str = "publish once with `write_mode: overwrite`";

/// Compares.
pub(in crate::run) fn compare(
    before: Option<&Predecessor>,
    planned: &Planned<'_>,
    contract: &SchemaContract,
) -> Comparison {
    let Some(before) = before else { return Comparison::default() };
    let rules = Rules { before, planned, contract, renamed: renamed(before, planned, contract) };
    let mut changes = rules.columns();
    changes.extend(rules.undoable());
    changes.extend(rules.removed());
    changes.extend(rules.left_out());
    changes.extend(rules.protection());
    changes.extend(rules.partitioning());
    let evolution = rules.evolution();
    Comparison {
        version: Some(before.table.version),
        stays: rules.stays(&evolution),
        reshape: rules.keeps().then(|| rules.reshape(&changes)).flatten(),
        changes,
        evolution,
    }
}

struct Rules<'a> {
    before: &'a Predecessor,
    planned: &'a Planned<'a>,
    contract: &'a SchemaContract,
    /// Renamings that take place now: new name, old name.
    renamed: BTreeMap<&'a str, &'a str>,
}

/// The declared renamings that have not taken place yet.
fn renamed<'a>(
    before: &Predecessor,
    planned: &Planned<'_>,
    contract: &'a SchemaContract,
) -> BTreeMap<&'a str, &'a str> {
    let output = planned.protection.output();
    let is_planned = |name: &str| output.field_with_name(name).is_ok();
    contract
        .renamed
        .iter()
        .map(|(new, old)| (new.as_str(), old.as_str()))
        .filter(|(new, old)| is_planned(new) && !is_planned(old) && before.has(old) && !before.has(new))
        .collect()
}

impl Rules<'_> {
    /// Whether rows that are published stay.
    fn keeps(&self) -> bool {
        self.planned.mode != Mode::Overwrite
    }

    fn output(&self) -> &Schema {
        self.planned.protection.output()
    }

    /// The published column that a planned one follows.
    fn old(&self, new: &str) -> Option<&Field> {
        let name = self.renamed.get(new).copied().unwrap_or(new);
        self.before.table.schema.field_with_name(name).ok()
    }

    /// Published columns that the output lacks, under whatever name.
    fn gone(&self) -> impl Iterator<Item = &Field> {
        let is_planned = |name: &String| {
            self.output().field_with_name(name).is_ok() || self.renamed.values().any(|old| old == name)
        };
        let fields = self.before.table.schema.fields().iter().map(AsRef::as_ref);
        fields.filter(move |field| !is_planned(field.name()))
    }

    /// Columns that are added or renamed, or have another type.
    fn columns(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for field in self.output().fields() {
            let Some(old) = self.old(field.name()) else {
                changes.push(self.added(field));
                continue;
            };
            if self.renamed.contains_key(field.name().as_str()) {
                changes.push(self.renaming(field, old));
            }
            changes.extend(self.retyped(field, old));
            changes.extend(self.fitted(field, old));
        }
        changes
    }

    fn added(&self, field: &Field) -> Change {
        let near = self.gone().find(|old| old.name().eq_ignore_ascii_case(field.name()));
        let then = match (self.contract.columns, near) {
            (_, Some(old)) if self.keeps() => Then::Fails(format!(
                "readers do not tell it from `{0}`: write `renamed: {{{1}: {0}}}`",
                old.name(),
                field.name()
            )),
            (May::Freeze, _) => Then::Fails("leave it out in `transform`".to_owned()),
            _ if self.keeps() => Then::Follows("is added; it is NULL in the rows that are there"),
            _ => Then::Follows("is added"),
        };
        let planned = type_name(field.data_type());
        Change {
            column: field.name().clone(),
            kind: ChangeKind::Added,
            published: String::new(),
            planned,
            then,
        }
    }

    fn renaming(&self, field: &Field, old: &Field) -> Change {
        let is_pseudonym = self.decisions(field.name()).any(|decision| decision.action.is_pseudonym());
        let then = if !self.keeps() {
            Then::Follows("takes the new name")
        } else if self.is_folder(field.name()) || self.is_folder(old.name()) {
            Then::Fails(format!("it names folders: {OVERWRITE_ONCE}"))
        } else if is_pseudonym {
            Then::Held(format!("its pseudonyms belong to the old name: {OVERWRITE_ONCE}"))
        } else {
            Then::Follows("takes the new name; the files that are there are written again")
        };
        let (published, planned) = (old.name().clone(), field.name().clone());
        Change { column: field.name().clone(), kind: ChangeKind::Renamed, published, planned, then }
    }

    /// Declared renamings onto a name that is published already: rows that stay hold something else under it.
    fn undoable(&self) -> Vec<Change> {
        if !self.keeps() {
            return Vec::new();
        }
        let is_planned = |name: &String| self.output().field_with_name(name).is_ok();
        let is_undoable = |(new, old): &(&String, &String)| {
            is_planned(new) && !is_planned(old) && self.before.has(new) && self.before.has(old)
        };
        let change = |(new, old): (&String, &String)| Change {
            column: new.clone(),
            kind: ChangeKind::Renamed,
            published: old.clone(),
            planned: new.clone(),
            then: Then::Fails(format!(
                "`{new}` is published already, beside `{old}`: {OVERWRITE_ONCE}, or take it out of `renamed` if \
                 it holds what it held"
            )),
        };
        self.contract.renamed.iter().filter(is_undoable).map(change).collect()
    }

    fn retyped(&self, field: &Field, old: &Field) -> Option<Change> {
        // Where the action of rows that stay changes too, that alone is told.
        if self.keeps() && self.decisions(field.name()).any(|decision| self.is_protected_otherwise(decision))
        {
            return None;
        }
        let (published, planned) = (type_name(old.data_type()), type_name(field.data_type()));
        let (kind, then) = match (shift(old.data_type(), field.data_type()), self.contract.types) {
            (Shift::None, _) => return None,
            (Shift::Widened, May::Evolve) => (ChangeKind::Widened, self.widening(field)),
            (Shift::Widened, _) => (ChangeKind::Widened, Then::Fails(cast(&published))),
            (Shift::Breaking, May::Evolve) if !self.keeps() => {
                (ChangeKind::Breaking, Then::Follows("takes the new type"))
            }
            (Shift::Breaking, May::Evolve) => {
                (ChangeKind::Breaking, Then::Fails(format!("{}, or {OVERWRITE_ONCE}", cast(&published))))
            }
            (Shift::Breaking, _) => (ChangeKind::Breaking, Then::Fails(cast(&published))),
        };
        Some(Change { column: field.name().clone(), kind, published, planned, then })
    }

    fn widening(&self, field: &Field) -> Then {
        match self.keeps() {
            false => Then::Follows("takes the wider type"),
            true if self.is_folder(field.name()) => {
                Then::Fails(format!("it names folders: {OVERWRITE_ONCE}"))
            }
            true => Then::Follows("takes the wider type; the files that are there are written again"),
        }
    }

    /// A column that is made to fit the published type.
    fn fitted(&self, field: &Field, old: &Field) -> Option<Change> {
        let planned = self.planned.fit?.planned(field.name())?;
        let kind = match shift(old.data_type(), planned) {
            Shift::Widened => ChangeKind::Widened,
            _ => ChangeKind::Breaking,
        };
        let then =
            Then::Follows("keeps the published type; rows with a value that does not fit it are left out");
        let (published, planned) = (type_name(old.data_type()), type_name(planned));
        Some(Change { column: field.name().clone(), kind, published, planned, then })
    }

    fn removed(&self) -> Vec<Change> {
        let change = |old: &Field| {
            let is_dropped = self.planned.dropped.contains(old.name())
                || self.decisions(old.name()).any(|decision| decision.action == Action::Drop);
            let then = match self.contract.columns {
                _ if self.keeps() && is_dropped => Then::Held(format!(
                    "it is to be dropped, and the rows that are there hold it: {OVERWRITE_ONCE}"
                )),
                May::Freeze => Then::Fails("bring it back, or give it a value in `transform`".to_owned()),
                _ if self.keeps() => Then::Follows("stays; it is NULL in the new rows"),
                May::Evolve => Then::Follows("is gone from the new version"),
                May::Discard => Then::Fails(
                    "the dataset cannot stay as it is: bring it back, or give it a value in `transform`"
                        .to_owned(),
                ),
            };
            let published = type_name(old.data_type());
            Change {
                column: old.name().clone(),
                kind: ChangeKind::Removed,
                published,
                planned: String::new(),
                then,
            }
        };
        self.gone().map(change).collect()
    }

    fn left_out(&self) -> impl Iterator<Item = Change> {
        self.planned.left_out.iter().map(|name| Change {
            column: name.clone(),
            kind: ChangeKind::Added,
            published: String::new(),
            planned: String::new(),
            then: Then::Follows("is left out"),
        })
    }

    /// Columns that are protected otherwise than the rows that are there.
    fn protection(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for decision in self.planned.protection.decisions() {
            let planned_tag = decision.tag.as_ref().map(ToString::to_string);
            let Some(Decided { action, tag, .. }) = self.recorded(decision) else {
                if self.is_protected_otherwise(decision) {
                    changes.push(Change {
                        column: decision.path.clone(),
                        kind: ChangeKind::Action,
                        published: String::new(),
                        planned: protected(decision.action.word(), planned_tag.as_deref()),
                        then: Then::Held(format!(
                            "it is not known how the rows that are there are protected: {OVERWRITE_ONCE}"
                        )),
                    });
                }
                continue;
            };
            let (kind, then) = if self.is_protected_otherwise(decision) {
                let then = match self.keeps() {
                    true => Then::Held(format!(
                        "the rows that are there stay as they are: `sealift reseal` where they are to be protected \
                         more strictly, or {OVERWRITE_ONCE}"
                    )),
                    false => {
                        Then::Follows("the new version is protected so; older versions stay as they are")
                    }
                };
                (ChangeKind::Action, then)
            } else if action == decision.action.word() && *tag != planned_tag {
                (ChangeKind::Tag, Then::Follows("is recorded"))
            } else {
                continue;
            };
            changes.push(Change {
                column: decision.path.clone(),
                kind,
                published: protected(action, tag.as_deref()),
                planned: protected(decision.action.word(), planned_tag.as_deref()),
                then,
            });
        }
        changes
    }

    /// Whether the published column is protected by another action, or may be in rows that stay. One that is
    /// to be dropped is told as removed, and one that was dropped as added.
    fn is_protected_otherwise(&self, decision: &Decision) -> bool {
        let Some(old) = self.old(top(&decision.path)).filter(|_| decision.action != Action::Drop) else {
            return false;
        };
        match self.recorded(decision) {
            Some(decided) => decided.action != decision.action.word(),
            // A leaf that is new in a column is a matter of its type.
            None => self.keeps() && !self.before.recorded.columns.keys().any(|path| top(path) == old.name()),
        }
    }

    fn recorded(&self, decision: &Decision) -> Option<&Decided> {
        let column = top(&decision.path);
        match self.renamed.get(column) {
            Some(old) => {
                let path = decision.path.replacen(column, old, 1);
                self.before.recorded.columns.get(&path)
            }
            None => self.before.recorded.columns.get(&decision.path),
        }
    }

    fn decisions(&self, column: &str) -> impl Iterator<Item = &Decision> {
        self.planned.protection.decisions().iter().filter(move |decision| top(&decision.path) == column)
    }

    fn partitioning(&self) -> Option<Change> {
        let (published, planned) = (&self.before.table.partition_by, self.planned.partition_by);
        let is_same = published.len() == planned.len()
            && published
                .iter()
                .zip(planned)
                .all(|(old, new)| self.renamed.get(new.as_str()).is_some_and(|o| o == old) || old == new);
        if is_same {
            return None;
        }
        let then = match self.contract.columns {
            _ if self.keeps() => Then::Fails(format!("write `partition_by` as it was, or {OVERWRITE_ONCE}")),
            May::Evolve => Then::Follows("the new version has other folders"),
            May::Freeze | May::Discard => Then::Fails("write `partition_by` as it was".to_owned()),
        };
        Some(Change {
            column: "partition_by".to_owned(),
            kind: ChangeKind::Partitioning,
            published: format!("[{}]", published.join(", ")),
            planned: format!("[{}]", planned.join(", ")),
            then,
        })
    }

    fn is_folder(&self, column: &str) -> bool {
        self.before.table.partition_by.iter().chain(self.planned.partition_by).any(|name| name == column)
    }

    fn evolution(&self) -> Evolution {
        let fields = self.output().fields().iter();
        let added = fields.filter(|field| self.old(field.name()).is_none()).map(|field| field.name().clone());
        Evolution {
            added: added.collect(),
            absent: self.gone().map(|field| field.name().clone()).collect(),
            reshapes: false,
        }
    }

    fn stays(&self, evolution: &Evolution) -> Vec<Decided> {
        let recorded = self.before.recorded.columns.iter();
        recorded
            .filter(|(path, _)| self.keeps() && evolution.absent.contains(top(path)))
            .map(|(_, decided)| decided.of_rows_that_stay())
            .collect()
    }

    /// How the files that are there are written again, where a change asks for it.
    fn reshape(&self, changes: &[Change]) -> Option<Reshape> {
        let is_due = |kind: ChangeKind| {
            let of_kind =
                move |change: &&Change| change.kind == kind && matches!(change.then, Then::Follows(_));
            changes.iter().filter(of_kind)
        };
        let new_name =
            |old: &str| self.renamed.iter().find(|(_, o)| **o == old).map(|(new, _)| (*new).to_owned());
        let renames = is_due(ChangeKind::Renamed).next().is_some();
        let widens = is_due(ChangeKind::Widened)
            .any(|change| self.planned.fit.and_then(|fit| fit.planned(&change.column)).is_none());
        if !renames && !widens {
            return None;
        }
        let columns = self.before.table.schema.fields().iter().map(|old| {
            let name = new_name(old.name()).unwrap_or_else(|| old.name().clone());
            let data_type = self.output().field_with_name(&name).map_or(old.data_type(), Field::data_type);
            (old.name().clone(), Field::new(name, data_type.clone(), true))
        });
        Some(Reshape::new(self.before, columns.collect()))
    }
}

fn cast(published: &str) -> String {
    format!("cast it to {published} in `transform`")
}

fn protected(action: &str, tag: Option<&str>) -> String {
    tag.map_or_else(|| action.to_owned(), |tag| format!("{action} ({tag})"))
}
