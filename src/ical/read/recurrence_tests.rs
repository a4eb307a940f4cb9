use chrono_tz::Tz;

use super::*;
use crate::ical::read::zone::Zone;

fn local(text: &str) -> NaiveDateTime {
    let text = if text.len() == 10 {
        format!("{text}T00:00:00")
    } else {
        text.to_owned()
    };
    text.parse().unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

const BERLIN: Frame<'_> = Frame {
    zone: Zone::Iana(Tz::Europe__Berlin),
    all_day: false,
};

fn series(start: &str, rule: &str) -> Result<Series<'static>, String> {
    let hour = Length::parse("PT1H").unwrap();
    Series::single(BERLIN, local(start), hour).with_rules(&[rule.to_owned()], &[])
}

/// The starts of the first occurrences from `now` on, at most `count`.
fn starts(series: &Series<'_>, now: &str, count: usize) -> Vec<String> {
    let mut from = utc(now);
    let mut starts = Vec::new();
    while starts.len() < count {
        let Some(span) = series
            .first(from, |span| span.start >= from, &Budget::new())
            .unwrap()
        else {
            break;
        };
        starts.push(span.start.format("%Y-%m-%dT%H:%M").to_string());
        from = span.start + TimeDelta::seconds(1);
    }
    starts
}

#[test]
fn rules_yield_their_occurrences() {
    // Start (Berlin), rule, asked from (UTC), the first starts (UTC).
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "2026-01-05T10:00:00",
            "FREQ=WEEKLY;COUNT=2",
            "2020-01-01",
            &["2026-01-05T09:00", "2026-01-12T09:00"],
        ),
        // Over the change to summer time the local time stays.
        (
            "2026-03-28T10:00:00",
            "FREQ=DAILY;COUNT=2",
            "2020-01-01",
            &["2026-03-28T09:00", "2026-03-29T08:00"],
        ),
        // In the gap it moves for that day.
        (
            "2026-03-28T02:30:00",
            "FREQ=DAILY;COUNT=3",
            "2020-01-01",
            &["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"],
        ),
        // UNTIL counts to the second, in UTC, local and as a date.
        (
            "2026-01-05T10:00:00",
            "FREQ=DAILY;UNTIL=20260106T090000Z",
            "2026-01-06",
            &["2026-01-06T09:00"],
        ),
        (
            "2026-01-05T10:00:00",
            "FREQ=DAILY;UNTIL=20260106T085959Z",
            "2026-01-06",
            &[],
        ),
        (
            "2026-01-05T10:00:00",
            "FREQ=DAILY;UNTIL=20260106T100000",
            "2026-01-06",
            &["2026-01-06T09:00"],
        ),
        (
            "2026-01-05T10:00:00",
            "FREQ=DAILY;UNTIL=20260106",
            "2026-01-06",
            &["2026-01-06T09:00"],
        ),
        // An old endless rule keeps its phase.
        (
            "1970-01-01T10:00:00",
            "FREQ=DAILY;INTERVAL=3",
            "2026-11-23",
            &["2026-11-24T09:00", "2026-11-27T09:00"],
        ),
        (
            "1990-01-01T10:00:00",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR",
            "2026-11-23",
            &["2026-11-30T09:00", "2026-12-04T09:00", "2026-12-14T09:00"],
        ),
        (
            "1990-01-31T10:00:00",
            "FREQ=MONTHLY",
            "2026-11-23",
            &["2026-12-31T09:00", "2027-01-31T09:00", "2027-03-31T08:00"],
        ),
        (
            "1992-02-29T10:00:00",
            "FREQ=YEARLY",
            "2026-11-23",
            &["2028-02-29T09:00", "2032-02-29T09:00"],
        ),
        (
            "1990-01-01T10:00:00",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "2026-11-23",
            &["2026-11-30T09:00", "2026-12-31T09:00"],
        ),
        (
            "1990-01-01T10:00:00",
            "FREQ=YEARLY;BYWEEKNO=20",
            "2026-11-23",
            &["2027-05-17T08:00"],
        ),
        (
            "1970-01-01T00:00:00",
            "FREQ=SECONDLY;INTERVAL=7",
            "2026-11-23",
            &["2026-11-23T00:00", "2026-11-23T00:00"],
        ),
        (
            "1970-01-01T00:00:00",
            "FREQ=MINUTELY;BYHOUR=9;BYMINUTE=30",
            "2026-11-23",
            &["2026-11-23T08:30", "2026-11-24T08:30"],
        ),
        // DTSTART is the first occurrence even if the rule does not yield it, and COUNT counts it.
        (
            "2026-01-06T10:00:00",
            "FREQ=WEEKLY;BYDAY=MO;COUNT=2",
            "2020-01-01",
            &["2026-01-06T09:00", "2026-01-12T09:00"],
        ),
        // Not as the RFC writes it, but plain.
        (
            "2026-01-05T10:00:00",
            "freq=daily; count=2 ;",
            "2026-01-06",
            &["2026-01-06T09:00"],
        ),
        (
            "2026-01-05T10:00:00",
            "FREQ=DAILY;BYDAY=MO, TU;INTERVAL=1",
            "2026-01-06",
            &["2026-01-06T09:00", "2026-01-12T09:00"],
        ),
    ];
    for (start, rule, now, expected) in cases {
        let series = series(start, rule).unwrap();
        let found = starts(&series, now, expected.len().max(1));
        assert_eq!(&found, expected, "{start} {rule}");
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let long = format!("FREQ=DAILY;BYDAY={}MO", "MO,".repeat(700));
    let unreadable = "the recurrence rule cannot be read";
    let cases = [
        ("", unreadable),
        ("FREQ=FORTNIGHTLY", unreadable),
        ("COUNT=3", unreadable),
        ("FREQ=DAILY;FREQ=WEEKLY", unreadable),
        ("FREQ=DAILY;INTERVAL=0", unreadable),
        ("FREQ=DAILY;INTERVAL=-1", unreadable),
        ("FREQ=DAILY;INTERVAL=99999999999", unreadable),
        ("FREQ=DAILY;COUNT=0", unreadable),
        ("FREQ=DAILY;BYMONTH=13", unreadable),
        ("FREQ=DAILY;BYMONTH=", unreadable),
        ("FREQ=DAILY;BYMONTHDAY=0", unreadable),
        ("FREQ=DAILY;BYDAY=0MO", unreadable),
        ("FREQ=DAILY;BYDAY=M", unreadable),
        ("FREQ=DAILY;BYDAY=\u{e9}", unreadable),
        ("FREQ=DAILY;BYSETPOS=0", unreadable),
        ("FREQ=DAILY;BYHOUR=24", unreadable),
        ("FREQ=DAILY;THING=1", unreadable),
        ("FREQ=DAILY;X-THING=1", ""),
        ("FREQ=DAILY;UNTIL=tomorrow", unreadable),
        ("FREQ=DAILY;", ""),
        (
            "RSCALE=CHINESE;FREQ=YEARLY",
            "RSCALE in a recurrence rule is not supported",
        ),
        (
            "FREQ=MONTHLY;SKIP=OMIT",
            "SKIP in a recurrence rule is not supported",
        ),
        (&long, "the recurrence rule has more than 2000 bytes"),
    ];
    for (rule, expected) in cases {
        let said = series("2026-01-05T10:00:00", rule)
            .err()
            .unwrap_or_default();
        assert_eq!(said, expected, "{rule}");
    }
    let rules = vec!["FREQ=DAILY".to_owned(); MAX_RULES];
    let single = Series::single(BERLIN, local("2026-01-05"), Length::ZERO);
    assert!(single.clone().with_rules(&rules, &[]).is_ok());
    let said = single.with_rules(&rules, &rules[..1]).unwrap_err();
    assert_eq!(said, "it has more than 16 recurrence rules");
}

#[test]
fn dates_are_added_and_taken_out() {
    let zoned = |text| When::Zoned(local(text), Zone::Iana(Tz::Europe__Berlin));
    let mut without = Without::default();
    without.add(BERLIN, zoned("2026-01-06T10:00:00"));
    without.add(BERLIN, When::Utc(utc("2026-01-07T09:00:00")));
    without.add(BERLIN, When::Date(local("2026-01-08").date()));
    without.add(BERLIN, zoned("2026-01-09T11:00:00"));
    let extra = [
        zoned("2026-01-05T10:00:00"),
        When::Utc(utc("2026-01-05T20:00:00")),
        zoned("2026-01-06T10:00:00"),
    ];
    let rules = ["FREQ=DAILY;COUNT=5", "FREQ=DAILY;INTERVAL=2;COUNT=2"].map(str::to_owned);
    let series = Series::single(BERLIN, local("2026-01-05T10:00:00"), Length::ZERO)
        .with_rules(&rules, &[])
        .unwrap()
        .with_extra(extra.into_iter().map(|when| (when, None)))
        .without(without);
    assert_eq!(
        starts(&series, "2020-01-01", 9),
        ["2026-01-05T09:00", "2026-01-05T20:00", "2026-01-09T09:00"]
    );
}

#[test]
fn days_are_counted_as_days() {
    let frame = Frame {
        zone: Zone::Iana(Tz::Europe__Berlin),
        all_day: true,
    };
    let mut without = Without::default();
    without.add(frame, When::Date(local("2026-03-29").date()));
    let rules = ["FREQ=DAILY;UNTIL=20260331".to_owned()];
    let series = Series::single(frame, local("2026-03-28"), Length::days(1))
        .with_rules(&rules, &[])
        .unwrap()
        .without(without);
    assert_eq!(
        starts(&series, "2020-01-01", 9),
        ["2026-03-27T23:00", "2026-03-29T22:00", "2026-03-30T22:00"]
    );
}

/// Rules made to cost time: without bounds each would run for minutes, or for ever. None may panic, and
/// each ends, if only by saying that it takes too long.
#[test]
fn hostile_rules_end() {
    let rules = [
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;COUNT=4000000000",
        "FREQ=MINUTELY;BYDAY=MO;BYSETPOS=2",
        "FREQ=HOURLY;BYMINUTE=1;BYSETPOS=24",
        "FREQ=DAILY;BYHOUR=1;BYSETPOS=366",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=2",
        "FREQ=WEEKLY;BYMONTH=2;BYDAY=1MO;INTERVAL=60000",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
        "FREQ=MINUTELY;INTERVAL=1440;BYMINUTE=5",
        "FREQ=SECONDLY;INTERVAL=60;BYSECOND=5",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3;COUNT=40000",
        "FREQ=YEARLY;INTERVAL=65535",
        "FREQ=MONTHLY;INTERVAL=65535",
        "FREQ=DAILY;INTERVAL=65535",
        "FREQ=YEARLY;BYYEARDAY=-366;BYWEEKNO=53;BYDAY=-53MO",
        "FREQ=YEARLY;BYHOUR=1,2,3;BYMINUTE=1,2,3,4,5;BYSECOND=1,2,3;BYDAY=MO,TU;BYSETPOS=-366",
    ];
    for start in [
        "1601-01-01T00:00:00",
        "1970-01-31T23:59:59",
        "9999-12-31T23:59:59",
    ] {
        for rule in rules {
            if let Ok(series) = series(start, rule) {
                let now = utc("2026-11-23");
                let _ = series.first(now, |span| span.end > now, &Budget::new());
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_rule_panics(
        freq in "(YEARLY|MONTHLY|WEEKLY|DAILY|HOURLY|MINUTELY|SECONDLY)",
        parts in proptest::collection::vec(
            "(;INTERVAL=[1-9][0-9]{0,4}|;COUNT=[1-9][0-9]{0,3}|;BYMONTH=(2|12|1,6)|;BYMONTHDAY=(-?[1-9]|31|29,30)\
             |;BYDAY=(-?[1-5]?(MO|SU)|MO,-1FR)|;BYHOUR=(0|23|1,2)|;BYMINUTE=(0|59)|;BYSECOND=(0|59)|;BYSETPOS=-?[1-9]\
             |;BYWEEKNO=(-?[1-9]|53)|;BYYEARDAY=(-?[1-9]{1,2}|366)|;WKST=SU)",
            0..3,
        ),
        seconds in -60_000_000_000i64..250_000_000_000,
    ) {
        let start = DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
        let rule = format!("FREQ={freq}{}", parts.concat());
        let length = Length::days(1);
        if let Ok(series) = Series::single(BERLIN, start, length).with_rules(&[rule], &[]) {
            let now = utc("2026-11-23");
            if let Ok(Some(span)) = series.first(now, |span| span.end > now, &Budget::new()) {
                proptest::prop_assert!(span.end > now && span.start >= start.and_utc() - TimeDelta::days(1));
            }
        }
    }
}
