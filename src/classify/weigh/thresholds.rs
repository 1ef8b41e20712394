//! Every number the weighing uses, in one place, each with its reason. Odds are natural logarithms ("nats").

/// Share of columns that hold any one class when the name says nothing: about thirty classes in a third of columns.
pub(super) const BASE: f64 = 0.01;
/// The same under a name that says something plain (`invoice_no`): values must be more than a plausible accident.
pub(super) const BASE_UNDER_PLAIN_NAME: f64 = 0.0005;
/// Least share that a class keeps under a name that says another: names are sometimes wrong.
pub(super) const BASE_AT_LEAST: f64 = 0.001;
/// Share of columns without a telling name that hold nothing sensitive, before shape is seen.
pub(super) const BASE_INTERNAL: f64 = 0.25;
/// Odds a tag must beat to be said at all (even odds, less a little because a miss costs more than a question).
pub(super) const UNKNOWN_ODDS: f64 = -0.4;
/// A name alone never decides more than this: its strength is cut here, so that values can overrule it.
pub(super) const NAME_AT_MOST: f64 = 0.97;

/// Worth of a form that ordinary values lack (an `@`, a prefix, separators) when the whole column has it.
/// It outweighs even a plain name (`order_ref` full of addresses): `ln(0.0005) + 11 > ln(0.94 / 0.06)`.
pub(super) const DISTINCTIVE_FORM: f64 = 11.0;
/// Worth of a form that ordinary numbers and words share.
pub(super) const ORDINARY_FORM: f64 = 1.5;
/// Most that one check is worth, in nats, however many values pass: forms are not drawn at random.
pub(super) const CHECK_AT_MOST: f64 = 8.0;
/// Values of a column are made alike, so that a thousand passes prove no more than this many independent ones: a
/// check that nine in ten numbers pass never tells much, one that a hundredth pass tells all.
pub(super) const INDEPENDENT: f64 = 5.0;
/// Most that all of it is worth for classes whose values other things bear too: products and streets have people's
/// names, part numbers are grouped like phones, houses are as old as people. A plain name then prevails.
pub(super) const SHARED_AT_MOST: f64 = 7.5;
/// Values that carry half of a form's worth: one alone may be an accident, five hardly.
pub(super) const HALF_WORTH_AT: f64 = 1.0;
/// Share of a column that must truly be of a class for full worth; junk and other formats make up the rest.
pub(super) const FULL_SHARE: f64 = 0.6;
/// The same for free text, where most texts mention nobody.
pub(super) const FULL_SHARE_IN_TEXT: f64 = 0.1;
/// The same for names of people and places: dictionaries are small and hold a part of them.
pub(super) const FULL_SHARE_IN_DICTIONARY: f64 = 0.3;
/// Fewer distinct values than this must mostly be names of people for that class.
pub(super) const FEW_VALUES: u64 = 8;
/// Part of all passes of a class that a detector needs to say what they are worth. Of ten thousand random tokens one
/// begins like a known key, and is no word for the others.
pub(super) const VOICE: f64 = 0.1;
/// Below this share a detector's passes are strays.
pub(super) const STRAY_SHARE: f64 = 0.04;

/// What a named class loses when its detector, which misses next to nothing, passes none of the values.
pub(super) const ABSENT_PROVEN: f64 = 3.4;
/// The same where the detector is known to miss some (dictionaries, phone plans).
pub(super) const ABSENT_SHOWN: f64 = 1.4;
/// The same of people's names: dictionaries know a part of every language, but not of each.
pub(super) const ABSENT_NAMES: f64 = 2.4;
/// Values needed for the full loss.
pub(super) const ABSENT_AT: f64 = 20.0;
/// What a class loses whose values cannot look like these (a birth date among words).
pub(super) const IMPOSSIBLE: f64 = 5.0;
/// Share of values from which a form is that of the column.
pub(super) const MOST: f64 = 0.7;

/// Worth for `internal` of a boolean.
pub(super) const FLAG: f64 = 5.0;
/// Of numbers that count up without gaps.
pub(super) const COUNTS_UP: f64 = 3.0;
/// Of UUIDs and digests.
pub(super) const OPAQUE: f64 = 2.5;
/// Of typed or written times.
pub(super) const TEMPORAL: f64 = 0.5;
/// Of numbers, typed or written.
pub(super) const NUMBERS: f64 = 1.2;
/// Of few codes that repeat.
pub(super) const FEW_CODES: f64 = 1.5;
/// Of texts of several words: they may hold anything.
pub(super) const WORDS: f64 = -1.5;
/// Distinct values up to which a repeating column is a list of codes.
pub(super) const CODES_AT_MOST: u64 = 60;
/// Times each distinct value must repeat on average for that.
pub(super) const CODES_REPEAT: u64 = 4;

/// What classes that tell people apart lose in a column of few repeating values.
pub(super) const FEW_AGAINST_IDENTITY: f64 = 4.0;
/// What is lost there where the name says the class plainly.
pub(super) const FEW_AGAINST_NAMED: f64 = 1.0;
/// What names of people lose there: ships, wards, styles and firms bear such names, and a list of them repeats.
pub(super) const FEW_AGAINST_NAMES: f64 = 7.0;
/// Strength of a name that says a class plainly.
pub(super) const PLAINLY_NAMED: f64 = 0.75;
/// Strength of a name from which neighbours may strengthen a reading.
pub(super) const IN_QUESTION: f64 = 0.35;
/// What addresses lose there: towns and streets repeat too, but most such lists are of codes.
pub(super) const FEW_AGAINST_PLACE: f64 = 2.0;
/// Distinct values up to which that holds: a pool of people is larger.
pub(super) const FEW_AT_MOST: u64 = 20;
/// Worth for gender of a few repeating words that are all genders.
pub(super) const FEW_GENDERS: f64 = 4.5;

/// What numbers given to people lose where all values lie within a hundredth of the largest: somebody counted them up.
pub(super) const NARROW: f64 = 4.0;
/// Values needed to call them narrow.
pub(super) const NARROW_AT_LEAST: u64 = 20;

/// Worth of a neighbour that makes a reading likelier.
pub(super) const NEIGHBOUR: f64 = 1.6;
/// Worth of neighbours that speak against a reading (`name` beside `price`).
pub(super) const NEIGHBOUR_AGAINST: f64 = 1.6;
/// How likely a neighbour's own reading must be to count.
pub(super) const NEIGHBOUR_SURE: f64 = 0.6;
/// How much of an unnamed column must be of the class before neighbours count.
pub(super) const NEIGHBOUR_COVERAGE: f64 = 0.5;
/// Evidence weaker than this is not shown.
pub(super) const SHOWN: f64 = 0.3;
/// Pieces of evidence shown.
pub(super) const SHOWN_AT_MOST: usize = 8;
