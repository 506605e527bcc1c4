use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::event::{INSTANT_LIMIT, format_instant, parse_instant};

fn hours(from: &str, to: &str) -> QuietHours {
    QuietHours::new(TimeOfDay::parse(from).unwrap(), TimeOfDay::parse(to).unwrap()).unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::parse(name).unwrap()
}

fn instant(text: &str) -> Instant {
    parse_instant(text).unwrap()
}

/// By the library's calendar, which the code under test does not use.
fn is_quiet_by_the_calendar(hours: QuietHours, at: Instant, zone: &TimeZone) -> bool {
    let time = timestamp(at).to_zoned(zone.0.clone()).time();
    let clock = |time: TimeOfDay| jiff::civil::time(0, 0, 0, 0) + i64::from(time.minutes).minutes();
    let (from, to) = (clock(hours.from), clock(hours.to));
    if from < to { from <= time && time < to } else { from <= time || time < to }
}

/// Minute by minute; all clocks since 1972 are set at whole minutes.
fn check_span(hours: QuietHours, zone: &TimeZone, begin: Instant, end: Instant) {
    let minutes: Vec<Instant> =
        (begin / MINUTE_MS..end / MINUTE_MS).map(|minute| minute * MINUTE_MS).collect();
    let mut next_loud = None;
    for minute in minutes.into_iter().rev() {
        let quiet = is_quiet_by_the_calendar(hours, minute, zone);
        for at in [minute, minute + 1, minute + MINUTE_MS - 1] {
            assert_eq!(hours.is_quiet(at, zone), quiet, "{zone}, {hours}: {}", format_instant(at));
        }
        if !quiet {
            next_loud = Some(minute);
        }
        // The last hours end beyond the span.
        let Some(loud) = next_loud else { continue };
        for at in [minute, minute + 1, minute + MINUTE_MS - 1] {
            let ends = if quiet { loud } else { at };
            assert_eq!(hours.ends(at, zone), ends, "{zone}, {hours}: {}", format_instant(at));
        }
    }
    assert!(next_loud.is_some());
}

#[test]
fn the_changes_of_vienna_in_2026() {
    let vienna = zone("Europe/Vienna");
    for (from, to, at, ends) in [
        // In spring 02:00 becomes 03:00 at 01:00 UTC.
        ("22:00", "07:00", "2026-03-28T20:59:59.999Z", None),
        ("22:00", "07:00", "2026-03-28T21:00:00Z", Some("2026-03-29T05:00:00Z")),
        ("22:00", "07:00", "2026-03-29T04:59:59.999Z", Some("2026-03-29T05:00:00Z")),
        ("22:00", "07:00", "2026-03-29T05:00:00Z", None),
        ("22:00", "02:30", "2026-03-28T21:00:00Z", Some("2026-03-29T01:00:00Z")),
        ("22:00", "02:30", "2026-03-29T00:59:59.999Z", Some("2026-03-29T01:00:00Z")),
        ("22:00", "02:30", "2026-03-29T01:00:00Z", None),
        ("02:15", "02:45", "2026-03-28T01:15:00Z", Some("2026-03-28T01:45:00Z")),
        ("02:15", "02:45", "2026-03-29T00:59:59.999Z", None),
        ("02:15", "02:45", "2026-03-29T01:00:00Z", None),
        ("02:15", "02:45", "2026-03-30T00:15:00Z", Some("2026-03-30T00:45:00Z")),
        // In autumn 03:00 becomes 02:00 at 01:00 UTC.
        ("22:00", "07:00", "2026-10-24T20:00:00Z", Some("2026-10-25T06:00:00Z")),
        ("22:00", "07:00", "2026-10-25T05:59:59.999Z", Some("2026-10-25T06:00:00Z")),
        ("22:00", "07:00", "2026-10-25T06:00:00Z", None),
        ("22:00", "02:30", "2026-10-24T20:00:00Z", Some("2026-10-25T00:30:00Z")),
        ("22:00", "02:30", "2026-10-25T00:30:00Z", None),
        ("22:00", "02:30", "2026-10-25T01:00:00Z", Some("2026-10-25T01:30:00Z")),
        ("22:00", "02:30", "2026-10-25T01:30:00Z", None),
        ("02:15", "02:45", "2026-10-25T00:15:00Z", Some("2026-10-25T00:45:00Z")),
        ("02:15", "02:45", "2026-10-25T00:45:00Z", None),
        ("02:15", "02:45", "2026-10-25T01:15:00Z", Some("2026-10-25T01:45:00Z")),
        ("02:15", "02:45", "2026-10-25T01:45:00Z", None),
        // The hour before the change comes twice.
        ("22:00", "03:00", "2026-10-25T00:59:59.999Z", Some("2026-10-25T02:00:00Z")),
    ] {
        let (hours, at) = (hours(from, to), instant(at));
        assert_eq!(hours.is_quiet(at, &vienna), ends.is_some(), "{hours}: {}", format_instant(at));
        let expected = ends.map_or(at, instant);
        assert_eq!(
            format_instant(hours.ends(at, &vienna)),
            format_instant(expected),
            "{hours}: {}",
            format_instant(at)
        );
    }
}

#[test]
fn clocks_that_are_set_oddly() {
    for (name, begin, end) in [
        ("Europe/Vienna", "2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("Europe/Vienna", "2026-10-23T00:00:00Z", "2026-10-27T00:00:00Z"),
        // It set the clock to 45 minutes past the hours of UTC.
        ("Asia/Kathmandu", "1985-12-30T00:00:00Z", "1986-01-03T00:00:00Z"),
        // Half an hour, in both directions.
        ("Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-02T00:00:00Z", "2026-10-05T12:00:00Z"),
        // There was no 30 December.
        ("Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-02T00:00:00Z"),
        // A day came twice.
        ("Pacific/Kwajalein", "1993-08-19T00:00:00Z", "1993-08-23T00:00:00Z"),
        // Back for Ramadan, and forth again.
        ("Africa/Casablanca", "2026-02-13T00:00:00Z", "2026-02-17T00:00:00Z"),
        ("Africa/Casablanca", "2026-03-20T00:00:00Z", "2026-03-24T00:00:00Z"),
        // There was no midnight, and then two.
        ("America/Sao_Paulo", "2018-11-02T00:00:00Z", "2018-11-06T00:00:00Z"),
        ("America/Sao_Paulo", "2018-02-16T00:00:00Z", "2018-02-20T00:00:00Z"),
        // Two hours.
        ("Antarctica/Troll", "2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("Antarctica/Troll", "2026-10-23T00:00:00Z", "2026-10-27T00:00:00Z"),
        ("America/St_Johns", "2006-10-27T00:00:00Z", "2006-10-31T00:00:00Z"),
    ] {
        let (name, begin, end) = (zone(name), instant(begin), instant(end));
        assert!(name.next_change(begin).is_some_and(|change| change < end), "no change of {name}");
        for (from, to) in [
            ("22:00", "07:00"),
            ("22:00", "02:30"),
            ("02:15", "02:45"),
            ("00:00", "00:30"),
            ("23:30", "00:00"),
            ("00:01", "00:00"),
            ("02:00", "03:00"),
            ("03:00", "02:00"),
            ("12:00", "13:00"),
        ] {
            check_span(hours(from, to), &name, begin, end);
        }
    }
}

#[test]
fn hours_reach_over_the_ends_of_time() {
    for name in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
        let name = zone(name);
        check_span(hours("22:00", "07:00"), &name, 0, 3 * DAY_MS);
        let last = INSTANT_LIMIT - 1;
        let end = hours("00:01", "00:00").ends(last, &name);
        assert!(end >= last && end - last < DAY_MS && !hours("00:01", "00:00").is_quiet(end, &name));
    }
}

#[test]
fn what_is_no_time_of_day_says_what_to_write() {
    for good in ["00:00", "07:30", "19:09", "23:59"] {
        assert_eq!(TimeOfDay::parse(good).unwrap().to_string(), good);
    }
    for bad in ["", "24:00", "7:00", "07:60", "29:00", "07.00", "07:00:00", " 7:00", "٠٧:٠٠"] {
        let error = TimeOfDay::parse(bad).unwrap_err();
        assert!(error.contains("is no time of day: write hours and minutes, from 00:00 to 23:59"), "{error}");
    }
    let noon = TimeOfDay::parse("12:00").unwrap();
    assert_eq!(
        QuietHours::new(noon, noon).unwrap_err(),
        "quiet hours from 12:00 to 12:00 are either none or all: give two times; to stop actions altogether, use a guardrail of the kind `mute`"
    );
}

#[test]
fn a_time_zone_has_a_name_of_the_database() {
    for good in ["Europe/Vienna", "America/Argentina/Buenos_Aires", "UTC"] {
        assert_eq!(zone(good).to_string(), good);
        assert_eq!(zone(&good.to_lowercase()), zone(good));
    }
    for bad in ["", "Europe/Wien", "+02:00", "CEST", "Etc/Unknown", "/etc/localtime", "../Europe/Vienna"] {
        let error = TimeZone::parse(bad).unwrap_err();
        assert!(
            error.contains("is no time zone that is known: write a name of the IANA database"),
            "{error}"
        );
    }
}

const ZONES: [&str; 14] = [
    "Europe/Vienna",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "America/New_York",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Europe/Dublin",
    "Africa/Cairo",
    "Pacific/Chatham",
    "America/Caracas",
    "UTC",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_as_if_every_minute_were_looked_at(
        zone in prop::sample::select(ZONES.as_slice()).prop_map(zone),
        year in 1972..2060_u64,
        day in 0..365_u64,
        at_change: bool,
        times in (0..MINUTES_PER_DAY, 1..MINUTES_PER_DAY),
    ) {
        let begin = (year - 1970) * 365 * DAY_MS + day * DAY_MS;
        let begin = if at_change {
            zone.next_change(begin).map_or(begin, |change| change.saturating_sub(DAY_MS + DAY_MS / 2))
        } else {
            begin
        };
        let from = TimeOfDay { minutes: times.0 };
        let to = TimeOfDay { minutes: (times.0 + times.1) % MINUTES_PER_DAY };
        check_span(QuietHours::new(from, to).unwrap(), &zone, begin, begin + 3 * DAY_MS);
    }
}
