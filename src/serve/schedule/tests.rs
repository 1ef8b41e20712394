use chrono::TimeZone;

use super::*;
use crate::serve::Registry;
use crate::spec::pipeline::Schedule;
use crate::spec::{ConnectionName, Pipeline};

fn schedules(cron: &str, timezone: Tz) -> Result<(Schedules, PipelineName)> {
    let name = PipelineName::parse("crm").unwrap();
    let pipeline = Pipeline {
        path: "crm.yaml".into(),
        digest: String::new(),
        name: name.clone(),
        owner: "o".into(),
        description: String::new(),
        connection: ConnectionName::parse("c").unwrap(),
        store: None,
        streams: Vec::new(),
        schedule: Some(Schedule { cron: cron.into(), timezone }),
    };
    Ok((Schedules::read(&Registry::of(vec![pipeline]).all())?, name))
}

/// The first `count` due times after a wall-clock time in Zurich, as wall-clock times with offset.
fn due(cron: &str, (month, day, hour): (u32, u32, u32), count: usize) -> Vec<String> {
    let zurich = chrono_tz::Europe::Zurich;
    let (schedules, name) = schedules(cron, zurich).unwrap();
    let mut now = zurich.with_ymd_and_hms(2026, month, day, hour, 0, 0).unwrap().with_timezone(&Utc);
    let mut told = Vec::new();
    for _ in 0..count {
        now = schedules.next_after(&name, now).unwrap();
        told.push(now.with_timezone(&zurich).format("%d %H:%M %z").to_string());
    }
    told
}

// Clocks in Zurich go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October.

#[test]
fn a_fixed_time_inside_the_spring_gap_comes_right_after_it() {
    assert_eq!(due("30 2 * * *", (3, 28, 0), 3), ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]);
}

#[test]
fn a_fixed_time_inside_the_autumn_overlap_comes_once_at_the_first_pass() {
    assert_eq!(due("30 2 * * *", (10, 24, 12), 2), ["25 02:30 +0200", "26 02:30 +0100"]);
}

#[test]
fn an_interval_keeps_its_pace_through_both() {
    assert_eq!(due("*/30 * * * *", (3, 29, 1), 3), ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]);
    assert_eq!(
        due("*/30 * * * *", (10, 25, 1), 6),
        [
            "25 01:30 +0200",
            "25 02:00 +0200",
            "25 02:30 +0200",
            "25 02:00 +0100",
            "25 02:30 +0100",
            "25 03:00 +0100",
        ]
    );
}

#[test]
fn the_next_time_is_after_now_and_not_now() {
    let (schedules, name) = schedules("0 2 * * *", Tz::UTC).unwrap();
    let two = Utc.with_ymd_and_hms(2026, 11, 3, 2, 0, 0).unwrap();
    assert_eq!(schedules.next_after(&name, two), Some(two + chrono::Duration::days(1)));
    let just_before = two - chrono::Duration::milliseconds(1);
    assert_eq!(schedules.next_after(&name, just_before), Some(two));
}

#[test]
fn a_time_that_never_comes_is_no_error() {
    let (schedules, name) = schedules("0 0 30 2 *", Tz::UTC).unwrap();
    assert_eq!(schedules.next_after(&name, DateTime::UNIX_EPOCH), None);
}

#[test]
fn anything_but_five_fields_is_refused() {
    for text in ["0 0 2 * * *", "2 * * *", "0 25 * * *", "soon", ""] {
        let error = schedules(text, Tz::UTC).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Invalid, "{text}");
        assert!(error.to_string().contains("pipeline crm"), "{error}");
    }
}
