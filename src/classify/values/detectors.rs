//! All detectors, compiled once.
use super::custom::{Compiled, Custom};
use super::detector::Board;
use super::form::{AT, COLON, DIGIT, Form};
use super::judge::{Look, judge};
use super::sample::{Kind, Sample};
use super::set::Set;
use super::tally::{Hit, Shape, Tally};

/// Share of columns of dates that lie as births do though they are none: our estimate, of anniversaries and contracts.
const BIRTHS: f64 = 0.2;

/// Built-in and custom detectors, compiled once and shared by all columns.
#[derive(Debug, Default)]
pub struct Detectors {
    custom: Vec<Compiled>,
}

impl Detectors {
    /// The built-in detectors alone.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The built-in detectors and those of the policy.
    ///
    /// # Errors
    /// Says which custom detector cannot be compiled and why.
    pub fn with(custom: &[Custom]) -> Result<Self, String> {
        let custom = custom.iter().map(Compiled::new).collect::<Result<_, _>>()?;
        Ok(Self { custom })
    }

    /// Counts what the detectors see in the sample.
    #[must_use]
    pub fn tally(&self, sample: &Sample) -> Tally {
        let mut shape = shape_of(sample);
        let width = usual_width(sample);
        let mut board = Board::new();
        let mut custom = vec![(0u64, 0u64); self.custom.len()];
        let mut padded = [b'0'; 40];
        for value in sample.values() {
            let form = Form::of(value);
            count_form(&mut shape, &form);
            let look = match restored(&form, sample.kind(), width, &mut padded) {
                Some(digits) => judge(&Form::of(digits), Kind::Integer, &mut board),
                None => judge(&form, sample.kind(), &mut board),
            };
            count_look(&mut shape, look);
            for (compiled, (formed, passed)) in self.custom.iter().zip(&mut custom) {
                let (is_formed, is_passed) = compiled.judge(value);
                *formed += u64::from(is_formed);
                *passed += u64::from(is_passed);
            }
        }
        let mut hits = hits_of(&board);
        hits.iter_mut().for_each(|hit| weigh_set(hit, &board.set));
        hits.extend(self.custom.iter().zip(custom).filter_map(|(c, (formed, passed))| c.hit(formed, passed)));
        Tally { hits, shape }
    }
}

/// A number that lost leading zeros on its way through an integer column: written with as many digits as most
/// numbers of the column have, if it lacks no more than three.
fn restored<'a>(form: &Form<'_>, kind: Kind, width: usize, room: &'a mut [u8; 40]) -> Option<&'a [u8]> {
    let lacks = width.checked_sub(form.text.len()).filter(|lacks| (1..=3).contains(lacks))?;
    if kind != Kind::Integer || form.mask != DIGIT || width < 8 {
        return None;
    }
    room.get_mut(..lacks)?.fill(b'0');
    room.get_mut(lacks..width)?.copy_from_slice(form.text);
    room.get(..width)
}

/// The commonest length in bytes.
fn usual_width(sample: &Sample) -> usize {
    let mut counts = [0u32; 40];
    for value in sample.values() {
        if let Some(count) = counts.get_mut(value.len()) {
            *count += 1;
        }
    }
    counts.iter().enumerate().max_by_key(|(_, count)| **count).map_or(0, |(width, _)| width)
}

fn shape_of(sample: &Sample) -> Shape {
    let mut lengths = [0u64; 257];
    for value in sample.values() {
        // Longer values share the last place; bytes stand for characters here.
        if let Some(count) = lengths.get_mut(value.len().min(256)) {
            *count += 1;
        }
    }
    Shape {
        sampled: sample.len() as u64,
        offered: sample.offered(),
        shortest: u64::MAX,
        same_length: lengths.iter().copied().max().unwrap_or(0),
        is_sequence: sample.is_sequence(),
        ..Shape::default()
    }
    .when(sample.is_empty())
}

impl Shape {
    /// Nothing sampled has no shortest value.
    fn when(mut self, is_empty: bool) -> Self {
        if is_empty {
            self.shortest = 0;
        }
        self
    }
}

fn count_form(shape: &mut Shape, form: &Form<'_>) {
    let characters = form.characters as u64;
    shape.longest = shape.longest.max(characters);
    shape.shortest = shape.shortest.min(characters);
    shape.length_sum += characters;
    if form.text.len() <= 38
        && let Some(number) = str::from_utf8(form.text).ok().and_then(|t| t.parse::<i128>().ok())
    {
        let (low, high) = shape.integers.unwrap_or((number, number));
        shape.integers = Some((low.min(number), high.max(number)));
    }
    shape.digits += u64::from(form.mask == DIGIT);
    let is_code = form.spaces == 0 && form.digits > 0 && form.letters > 0 && !form.has(AT | COLON);
    shape.codes += u64::from(is_code);
}

fn count_look(shape: &mut Shape, look: Look) {
    match look {
        Look::Numeric => shape.numeric += 1,
        Look::Temporal => shape.temporal += 1,
        Look::Opaque => shape.opaque += 1,
        Look::Words => shape.words += 1,
        Look::Digits | Look::Plain => {}
    }
}

/// Corrects a hit by what the set of values shows.
fn weigh_set(hit: &mut Hit, set: &Set) {
    match hit.detector.as_str() {
        "birth_date" => match set.are_births() {
            Some(true) => hit.chance = BIRTHS,
            Some(false) => hit.chance = 1.0,
            None => {}
        },
        "person_name" if set.are_made_of_nouns() || set.lack_given_names() => hit.passed = 0,
        "icd10" if set.are_codes_of_chapters() && hit.passed * 20 >= hit.formed * 19 => {
            // Each further category that exists is one more that a cell or part number would have missed.
            hit.chance = hit.chance.powf(f64::from(set.categories()) / 5.0).max(1e-9);
            hit.distinctive = true;
        }
        "us_ssn" if !hit.distinctive && hit.passed == hit.formed => {
            // Groups of 00 and serials of 0000 are in 1.01 % of other numbers; areas may be chosen.
            hit.chance = (-0.0101 * hit.formed as f64 / 5.0).exp().min(hit.chance);
        }
        _ => {}
    }
}

/// Counts by name: forms of one thing are added up, their chances weighted by how often each form came.
fn hits_of(board: &Board) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut telling: Vec<u64> = Vec::new();
    for (detector, formed, passed) in board.counts().filter(|(_, formed, _)| *formed > 0) {
        let is_telling = if detector.distinctive { passed.max(1) } else { 0 };
        match hits.last_mut().zip(telling.last_mut()).filter(|(hit, _)| hit.detector == detector.name) {
            Some((hit, marks)) => {
                let (old, new) = (hit.formed as f64, formed as f64);
                hit.chance = (hit.chance * old + detector.chance * new) / (old + new);
                hit.formed += formed;
                hit.passed += passed;
                *marks += is_telling;
                // A third written in a telling form is no accident.
                hit.distinctive = *marks * 3 >= hit.passed;
            }
            None => {
                hits.push(Hit {
                    detector: detector.name.to_owned(),
                    tag: detector.tag.to_owned(),
                    passed,
                    chance: detector.chance,
                    formed,
                    distinctive: detector.distinctive,
                });
                telling.push(is_telling);
            }
        }
    }
    hits
}
