//! Values per second on one core over all detectors together: see `run` beside this folder.
#![allow(dead_code, unused_imports, reason = "only the detectors are called")]

use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use self::classify::values::{Detectors, Limits, Sample, find};

/// The part of Sealift that looks at values, compiled by itself.
#[path = "."]
mod classify {
    #[path = "../../../src/classify/values/mod.rs"]
    pub mod values;
}

const ROWS: usize = 2000;
/// Fewer values per second over all columns together are a failure.
const LEAST_PER_SECOND: f64 = 2e6;

fn main() -> ExitCode {
    let detectors = Detectors::builtin();
    let limits = Limits { per_batch: ROWS, ..Limits::default() };
    let (mut all_values, mut all_seconds) = (0u64, 0f64);
    for (name, column) in columns() {
        let mut sample = Sample::new(limits);
        let started = cpu_seconds();
        for _ in 0..200 {
            sample = Sample::new(limits);
            sample.observe(&column);
        }
        let observed = (cpu_seconds() - started) / 200.0;
        let rounds = 200;
        let mut best = f64::MAX;
        for _ in 0..5 {
            let started = cpu_seconds();
            for _ in 0..rounds {
                std::hint::black_box(detectors.tally(std::hint::black_box(&sample)));
            }
            best = best.min((cpu_seconds() - started) / f64::from(rounds));
        }
        let values = sample.len() as u64;
        all_values += values;
        all_seconds += best;
        println!(
            "{name:10} {:7.2} M values/s tally {:7.2} M values/s observe",
            values as f64 / best / 1e6,
            ROWS as f64 / observed / 1e6
        );
    }
    let mixed = all_values as f64 / all_seconds;
    println!("{:10} {:7.2} M values/s tally", "mixed", mixed / 1e6);
    let text = "Customer John Smith called from (212) 555-0143 about order 12345 and the late parcel. "
        .repeat(12_000);
    let started = cpu_seconds();
    let spans = find(&text).len();
    println!("find: {spans} spans, {:.0} MB/s", text.len() as f64 / (cpu_seconds() - started) / 1e6);
    if mixed < LEAST_PER_SECOND {
        eprintln!("mixed: fewer than {:.0} M values/s", LEAST_PER_SECOND / 1e6);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Seconds this thread spent on a core (Linux, schedstat), so that a busy machine does not blur the figures.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).map_or(0.0, |ns| ns / 1e9)
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let first = ["John", "Maria", "Jürgen", "Zofia", "Ayşe", "Xantippe", "Wei", "Olga"];
    let last = ["Smith", "García", "Müller", "Kowalski", "Yılmaz", "Quux", "Chen", "Petrova"];
    let word =
        ["parcel", "delayed", "customer", "asked", "about", "refund", "again", "today", "agent", "replied"];
    let n = |i: usize, k: usize| {
        (i.wrapping_mul(2_654_435_761).wrapping_add(k.wrapping_mul(40_503)) >> 7) % 1_000_000_007
    };
    let text = |f: &dyn Fn(usize) -> String| {
        Arc::new(StringArray::from((0..ROWS).map(f).collect::<Vec<_>>())) as ArrayRef
    };
    vec![
        (
            "names",
            text(&|i| {
                format!("{} {}{}", first[i % 8], last[i / 8 % 8], ["", "son", "-Berg", " Jr."][i / 64 % 4])
            }),
        ),
        ("emails", text(&|i| format!("user{}.{}@example{}.com", i, last[i % 8].to_lowercase(), i % 9))),
        ("ssns", text(&|i| format!("{:03}-{:02}-{:04}", n(i, 1) % 900, n(i, 2) % 100, n(i, 3) % 10_000))),
        ("ibans", text(&|i| format!("DE{:02}{:018}", n(i, 1) % 98, n(i, 2) * 1_000_003))),
        (
            "notes",
            text(&|i| {
                let mut note = format!("Note {i}:");
                for k in 0..9 {
                    note.push(' ');
                    note.push_str(word[n(i, k) % 10]);
                }
                note.push_str([" and more of it.", " call (212) 555-0143", " to John Smith"][i % 3]);
                note
            }),
        ),
        (
            "int9",
            Arc::new(Int64Array::from(
                (0..ROWS).map(|i| 100_000_000 + (n(i, 5) % 899_999_999) as i64).collect::<Vec<_>>(),
            )),
        ),
        (
            "int11",
            Arc::new(Int64Array::from(
                (0..ROWS).map(|i| 10_000_000_000 + n(i, 5) as i64 * 77).collect::<Vec<_>>(),
            )),
        ),
        ("decimals", text(&|i| format!("{}.{:02}", n(i, 1) % 100_000, n(i, 2) % 100))),
        (
            "codes",
            text(&|i| format!("{}{}-{:05}", ["AB", "XK", "PRD"][i % 3], n(i, 1) % 100, n(i, 2) % 100_000)),
        ),
        ("users", text(&|i| format!("{}{}{}", first[i % 2].to_lowercase(), last[i % 3].to_lowercase(), i))),
        (
            "phones",
            text(&|i| format!("({}) {}-{:04}", 200 + n(i, 1) % 800, 200 + n(i, 2) % 800, n(i, 3) % 10_000)),
        ),
        ("addresses", text(&|i| format!("{} {} Street, Springfield", n(i, 1) % 1000, last[i % 8]))),
        (
            "uuids",
            text(&|i| {
                format!(
                    "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                    n(i, 1),
                    n(i, 2) % 65536,
                    n(i, 3) % 4096,
                    n(i, 4) % 4096,
                    n(i, 5) * 999
                )
            }),
        ),
    ]
}
