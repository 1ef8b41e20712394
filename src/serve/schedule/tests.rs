use chrono::{TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::plan::{Occurrence, handled};
use super::*;
use crate::serve::Registry;
use crate::serve::fixture::pipeline;
use crate::spec::schedule::{Blackout, InBlackout, MOST_CAUGHT_UP, Missed, Schedule, Timing};

const ZURICH: Tz = chrono_tz::Europe::Zurich;

fn cron(text: &str, timezone: Tz) -> Schedule {
    Schedule { timezone, ..Schedule::of(Timing::Cron(text.into())) }
}

fn every(minutes: u64, anchor: DateTime<Utc>) -> Schedule {
    Schedule::of(Timing::Every { interval: Duration::from_secs(60 * minutes), anchor })
}

fn plan(schedule: &Schedule) -> Plan {
    Plan::read(&PipelineName::parse("crm").unwrap(), schedule).unwrap()
}

fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, hour, minute, 0).unwrap()
}

/// Of a day in November 2026, in UTC.
fn at(day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    utc(2026, 11, day, hour, minute)
}

/// The first `count` due times after a wall-clock time of 2026 in Zurich, as wall-clock times with offset.
fn due(schedule: &Schedule, (month, day, hour): (u32, u32, u32), count: usize) -> Vec<String> {
    let plan = plan(schedule);
    let mut through = ZURICH.with_ymd_and_hms(2026, month, day, hour, 0, 0).unwrap().to_utc();
    let mut told = Vec::new();
    for _ in 0..count {
        let next = plan.upcoming(through).unwrap();
        through = next.at;
        told.push(next.due.with_timezone(&ZURICH).format("%d %H:%M %z").to_string());
    }
    told
}

// Clocks in Zurich go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October.

#[test]
fn a_fixed_time_inside_the_spring_gap_comes_right_after_it() {
    let told = due(&cron("30 2 * * *", ZURICH), (3, 28, 0), 3);
    assert_eq!(told, ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]);
}

#[test]
fn a_fixed_time_inside_the_autumn_overlap_comes_once_at_the_first_pass() {
    let told = due(&cron("30 2 * * *", ZURICH), (10, 24, 12), 2);
    assert_eq!(told, ["25 02:30 +0200", "26 02:30 +0100"]);
}

#[test]
fn fixed_times_of_a_list_or_a_range_are_fixed_times() {
    let told = due(&cron("30 2,14 * * *", ZURICH), (3, 28, 12), 4);
    assert_eq!(told, ["28 14:30 +0100", "29 03:00 +0200", "29 14:30 +0200", "30 02:30 +0200"]);
    let told = due(&cron("30 2,14 * * *", ZURICH), (10, 24, 20), 3);
    assert_eq!(told, ["25 02:30 +0200", "25 14:30 +0100", "26 02:30 +0100"]);
    let told = due(&cron("15 1-3 * * *", ZURICH), (10, 25, 0), 4);
    assert_eq!(told, ["25 01:15 +0200", "25 02:15 +0200", "25 03:15 +0100", "26 01:15 +0100"]);
    let told = due(&cron("0,30 2 * * *", ZURICH), (3, 28, 12), 2);
    assert_eq!(told, ["29 03:00 +0200", "30 02:00 +0200"], "both come right after the gap, as one");
    let second_pass = ZURICH.with_ymd_and_hms(2026, 10, 25, 2, 10, 0).latest().unwrap().to_utc();
    let next = plan(&cron("30 2 * * *", ZURICH)).upcoming(second_pass).unwrap().at;
    assert_eq!(next, utc(2026, 10, 26, 1, 30), "its first pass is over");
}

#[test]
fn a_step_keeps_its_pace_through_both() {
    let half_hours = cron("*/30 * * * *", ZURICH);
    assert_eq!(due(&half_hours, (3, 29, 1), 3), ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]);
    assert_eq!(
        due(&half_hours, (10, 25, 1), 6),
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
fn an_interval_is_elapsed_time_whatever_clocks_do() {
    let daily = every(24 * 60, utc(2026, 1, 1, 1, 0));
    assert_eq!(due(&daily, (3, 28, 0), 3), ["28 02:00 +0100", "29 03:00 +0200", "30 03:00 +0200"]);
    assert_eq!(due(&daily, (10, 24, 0), 3), ["24 03:00 +0200", "25 02:00 +0100", "26 02:00 +0100"]);
    let plan = plan(&every(15, utc(2030, 1, 1, 0, 7)));
    let next = |from| plan.upcoming(from).unwrap().at;
    assert_eq!(next(at(3, 12, 0)), at(3, 12, 7), "the anchor may lie ahead");
    assert_eq!(next(at(3, 12, 7)), at(3, 12, 22));
    assert_eq!(next(at(3, 12, 7) - TimeDelta::milliseconds(1)), at(3, 12, 7));
}

#[test]
fn a_leap_day_comes_in_leap_years() {
    let plan = plan(&cron("0 0 29 2 *", Tz::UTC));
    let mut through = utc(2026, 1, 1, 0, 0);
    let mut years = Vec::new();
    for _ in 0..3 {
        through = plan.upcoming(through).unwrap().at;
        years.push(through.format("%F").to_string());
    }
    assert_eq!(years, ["2028-02-29", "2032-02-29", "2036-02-29"]);
    assert_eq!(plan.upcoming(utc(2096, 3, 1, 0, 0)).unwrap().at, utc(2104, 2, 29, 0, 0), "2100 has none");
}

#[test]
fn the_next_time_is_after_now_and_not_now() {
    let pipelines = Registry::of(vec![pipeline("crm", Some(cron("0 2 * * *", Tz::UTC)))]).all();
    let schedules = Schedules::read(&pipelines).unwrap();
    let name = PipelineName::parse("crm").unwrap();
    assert_eq!(schedules.next_after(&name, at(3, 2, 0)), Some(at(4, 2, 0)));
    let just_before = at(3, 2, 0) - TimeDelta::milliseconds(1);
    assert_eq!(schedules.next_after(&name, just_before), Some(at(3, 2, 0)));
}

#[test]
fn a_time_that_never_comes_is_no_error() {
    assert_eq!(plan(&cron("0 0 30 2 *", Tz::UTC)).upcoming(DateTime::UNIX_EPOCH), None);
}

#[test]
fn anything_but_five_fields_is_refused() {
    for text in ["0 0 2 * * *", "2 * * *", "0 25 * * *", "soon", ""] {
        let pipelines = Registry::of(vec![pipeline("crm", Some(cron(text, Tz::UTC)))]).all();
        let error = Schedules::read(&pipelines).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Invalid, "{text}");
        assert!(error.to_string().contains("pipeline crm"), "{error}");
    }
}

#[test]
fn what_is_ripe_is_what_one_occurrence_after_the_other_gives() {
    let through = ZURICH.with_ymd_and_hms(2026, 10, 24, 20, 30, 0).unwrap().to_utc();
    for text in ["*/7 * * * *", "30 2 * * *", "15,45 1-3 * * 6,0", "0 0 1 * *", "59 23 * * *"] {
        let plan = plan(&Schedule { missed: Missed::All, ..cron(text, ZURICH) });
        for minutes in [0, 1, 7, 90, 600, 1_500, 9_000] {
            let now = through + TimeDelta::minutes(minutes);
            let all = std::iter::successors(plan.upcoming(through), |last| plan.upcoming(last.at));
            let all: Vec<Occurrence> = all.take_while(|next| next.at <= now).collect();
            let newest = &all[all.len().saturating_sub(MOST_CAUGHT_UP)..];
            assert_eq!(plan.ripe(through, now), newest, "{text} after {minutes} minutes");
        }
    }
}

#[test]
fn missed_occurrences_are_left_out_or_have_one_run_or_one_each() {
    let chosen = |missed, now| {
        let plan = plan(&Schedule { missed, ..cron("0 * * * *", Tz::UTC) });
        let ripe = plan.ripe(at(3, 12, 0), now);
        plan.chosen(&ripe, now).map(|one| one.at)
    };
    for missed in [Missed::Skip, Missed::Once, Missed::All] {
        assert_eq!(chosen(missed, at(3, 13, 0)), Some(at(3, 13, 0)), "{missed:?}");
        assert_eq!(chosen(missed, at(3, 12, 59)), None, "{missed:?}");
    }
    let late = at(3, 16, 30);
    assert_eq!(chosen(Missed::Skip, late), None);
    assert_eq!(chosen(Missed::Once, late), Some(at(3, 16, 0)));
    assert_eq!(chosen(Missed::All, late), Some(at(3, 13, 0)));
    assert_eq!(chosen(Missed::Skip, at(3, 16, 5)), Some(at(3, 16, 0)), "the newest is in time");
    let year = at(3, 12, 0) + TimeDelta::days(365);
    assert_eq!(chosen(Missed::All, year), Some(year - TimeDelta::hours(99)), "the newest hundred");
}

#[test]
fn jitter_is_the_same_for_the_same_occurrence_and_within_its_bound() {
    let schedule = Schedule { jitter: Duration::from_secs(300), ..cron("0 * * * *", Tz::UTC) };
    let other = Plan::read(&PipelineName::parse("erp").unwrap(), &schedule).unwrap();
    let plan = plan(&schedule);
    let put_off = |plan: &Plan, hour| plan.due(at(3, hour, 0)).unwrap() - at(3, hour, 0);
    let all: Vec<TimeDelta> = (0..24).map(|hour| put_off(&plan, hour)).collect();
    assert!(all.iter().all(|by| (TimeDelta::zero()..TimeDelta::seconds(300)).contains(by)), "{all:?}");
    assert!(all.iter().any(|by| *by > TimeDelta::seconds(60)) && all.windows(2).any(|two| two[0] != two[1]));
    assert_eq!(all[7], put_off(&plan, 7));
    assert_ne!(all, (0..24).map(|hour| put_off(&other, hour)).collect::<Vec<_>>());
    let next = plan.upcoming(at(3, 12, 0)).unwrap();
    assert_eq!(next.at, at(3, 13, 0));
    assert!(plan.ripe(at(3, 12, 0), next.due - TimeDelta::milliseconds(1)).is_empty());
    assert_eq!(plan.ripe(at(3, 12, 0), next.due), [next]);
}

#[test]
fn a_long_jitter_keeps_the_order_of_occurrences() {
    let schedule = Schedule { jitter: Duration::from_secs(20 * 60), ..every(10, at(1, 0, 0)) };
    let plan = plan(&schedule);
    let all: Vec<Occurrence> =
        std::iter::successors(plan.upcoming(at(3, 0, 0)), |last| plan.upcoming(last.at)).take(200).collect();
    assert!(all.is_sorted_by(|one, next| one.due < next.due), "{all:?}");
    assert!(all.iter().any(|one| one.due - one.at > TimeDelta::minutes(5)));
    for two in all.windows(2) {
        assert_eq!(plan.ripe(two[0].at - TimeDelta::milliseconds(1), two[0].due), [two[0]]);
        assert_eq!(plan.last_due(at(2, 0, 0), two[1].due), Some(two[1]));
    }
}

#[test]
fn a_daemon_that_begins_deep_in_a_blackout_waits_for_its_end() {
    let window = |days, from_minute, to_minute| Blackout { days, from_minute, to_minute };
    let day = |one: usize| std::array::from_fn(|day| day == one);
    // From Friday, 18:00, to Monday, 06:00.
    let blackout = vec![
        window(day(4), 18 * 60, 1440),
        window(std::array::from_fn(|day| day > 4), 0, 1440),
        window(day(0), 0, 6 * 60),
    ];
    let minutely = Schedule { blackout, ..cron("* * * * *", Tz::UTC) };
    // 6 November 2026 is a Friday.
    let (stopped, started, end) = (at(6, 17, 0), at(8, 6, 0), at(9, 6, 0));
    for in_blackout in [InBlackout::Defer, InBlackout::Skip] {
        let plan = plan(&Schedule { in_blackout, ..minutely.clone() });
        let before = Occurrence { at: at(6, 17, 59), due: at(6, 17, 59) };
        assert_eq!(plan.ripe(stopped, started), [before], "{in_blackout:?}");
        let next = plan.upcoming(before.at).unwrap();
        assert_eq!(next.due, end, "{in_blackout:?}");
        assert!(plan.ripe(before.at, started).is_empty(), "{in_blackout:?}");
        assert_eq!(plan.ripe(before.at, end), [Occurrence { at: end, due: end }]);
    }
}

fn office_hours(days: [bool; 7], from_minute: u16, to_minute: u16) -> Schedule {
    let blackout = vec![Blackout { days, from_minute, to_minute }];
    Schedule { blackout, ..cron("0 * * * *", ZURICH) }
}

#[test]
fn a_blackout_puts_off_to_its_end_or_leaves_out() {
    // 3 November 2026 is a Tuesday; Zurich is an hour ahead of UTC.
    let weekdays = [true, true, true, true, true, false, false];
    let defer = office_hours(weekdays, 8 * 60, 18 * 60);
    let plan_of = plan(&defer);
    assert_eq!(plan_of.due(at(3, 6, 0)), Some(at(3, 6, 0)), "seven o'clock");
    assert_eq!(plan_of.due(at(3, 7, 0)), Some(at(3, 17, 0)), "eight o'clock");
    assert_eq!(plan_of.due(at(3, 17, 0)), Some(at(3, 17, 0)), "the end is free");
    assert_eq!(plan_of.due(at(7, 9, 0)), Some(at(7, 9, 0)), "Saturday");
    let ripe = plan_of.ripe(at(3, 6, 0), at(3, 17, 0));
    let newest = Occurrence { at: at(3, 17, 0), due: at(3, 17, 0) };
    assert_eq!(plan_of.chosen(&ripe, at(3, 17, 0)), Some(newest), "one run for all that were put off");

    let skip = plan(&Schedule { in_blackout: InBlackout::Skip, ..defer });
    assert_eq!(skip.due(at(3, 7, 0)), None);
    assert_eq!(skip.upcoming(at(3, 6, 0)).unwrap().at, at(3, 17, 0));
}

#[test]
fn blackouts_go_over_midnight_and_follow_each_other() {
    let night = plan(&office_hours([true, false, false, false, false, false, true], 22 * 60, 6 * 60));
    // From Sunday and from Monday.
    for (begin, end) in [(at(1, 21, 0), at(2, 5, 0)), (at(2, 21, 0), at(3, 5, 0))] {
        assert_eq!(night.due(begin), Some(end));
        assert_eq!(night.due(end - TimeDelta::hours(1)), Some(end));
        assert_eq!(night.due(begin - TimeDelta::hours(1)), Some(begin - TimeDelta::hours(1)));
    }
    assert_eq!(night.due(at(3, 22, 0)), Some(at(3, 22, 0)), "from Tuesday there is none");

    let whole_days = plan(&office_hours([true, true, true, true, true, true, false], 0, 1440));
    assert_eq!(whole_days.due(at(3, 12, 0)), Some(at(7, 23, 0)), "free from Sunday, 00:00 in Zurich");
}

#[test]
fn a_blackout_keeps_its_wall_clock_where_clocks_change() {
    let early = plan(&office_hours([true; 7], 2 * 60 + 30, 4 * 60));
    let zurich = |month, day, hour, minute| ZURICH.with_ymd_and_hms(2026, month, day, hour, minute, 0);
    let spring_end = zurich(3, 29, 4, 0).unwrap().to_utc();
    let after_gap = zurich(3, 29, 3, 0).unwrap().to_utc();
    assert_eq!(early.due(after_gap), Some(spring_end), "half past two is left out: it begins at three");
    let before_gap = after_gap - TimeDelta::minutes(1);
    assert_eq!(early.due(before_gap), Some(before_gap));
    let autumn_end = zurich(10, 25, 4, 0).unwrap().to_utc();
    let first_pass = zurich(10, 25, 2, 30).earliest().unwrap().to_utc();
    assert_eq!(early.due(first_pass), Some(autumn_end));
    let second_pass = zurich(10, 25, 2, 0).latest().unwrap().to_utc();
    assert_eq!(early.due(second_pass), Some(autumn_end), "it began in the first pass and lasts");
}

#[test]
fn a_clock_that_is_set_back_a_little_repeats_nothing_and_by_much_goes_on_from_there() {
    let through = at(3, 14, 0);
    assert_eq!(handled(through, at(3, 15, 0)), through);
    assert_eq!(handled(through, at(3, 13, 30)), through, "14:00 does not come again");
    assert_eq!(handled(through, at(2, 14, 0)), at(2, 14, 0), "a day back: not silent for a day");
}
