//! Measures each detector's chance on random values of its form.
use super::detector::{Board, COUNT, ENTRIES, TABLE};
use super::form::Form;
use super::judge::judge;
use super::sample::Kind;

/// A small generator (splitmix64): the draw is the same on every machine.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    pub(crate) fn of(&mut self, form: &str) -> String {
        const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        form.bytes()
            .map(|place| match place {
                b'#' => char::from(b"0123456789"[self.below(10)]),
                b'^' => char::from(CAPITALS[self.below(26)]),
                b'*' => char::from(CAPITALS[self.below(36)]),
                b'~' => char::from(b"0123456789abcdef"[self.below(16)]),
                b'&' => char::from(CAPITALS[self.below(26)] | 0x20),
                other => char::from(other),
            })
            .collect()
    }
}

#[test]
fn chances_are_as_stated() {
    let mut draw = Draw(7);
    let mut wrong = Vec::new();
    for at in 0..COUNT {
        let detector = &TABLE[at];
        if detector.form.is_empty() {
            continue;
        }
        let mut board = Board::new();
        let (mut drawn, limit) = (0, if detector.chance < 0.02 { 30_000 } else { 8_000 });
        while drawn < limit {
            drawn += 1;
            judge(&Form::of(draw.of(detector.form).as_bytes()), Kind::Text, &mut board);
        }
        let (formed, passed) = board.of(ENTRIES[at]);
        let share = passed as f64 / formed.max(1) as f64;
        let tolerance = detector.chance * 0.15 + 0.001;
        if formed < 100 || (share - detector.chance).abs() > tolerance {
            wrong.push(format!(
                "{:?} {} formed {formed} of {drawn}: {share:.5}",
                ENTRIES[at], detector.chance
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
