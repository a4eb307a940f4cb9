use chrono_tz::Tz;

use super::*;
use crate::ical::read::expand::DOCUMENT_STEPS;
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
            .first(
                from,
                |span| span.start >= from,
                &Budget::new(DOCUMENT_STEPS),
            )
            .unwrap_or_else(|why| panic!("{series:?}: {why}"))
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

/// Of the hard ones of RFC 5545, 3.8.5.3 and its kind: all in Berlin's summer or winter, at 09:00 local.
#[test]
fn hard_rules_yield_their_days() {
    // Start, rule, the days of its first occurrences.
    let cases: &[(&str, &str, &str)] = &[
        (
            "1997-09-05",
            "FREQ=MONTHLY;COUNT=4;BYDAY=1FR",
            "0905 1003 1107 1205",
        ),
        (
            "1997-09-07",
            "FREQ=MONTHLY;INTERVAL=2;COUNT=6;BYDAY=1SU,-1SU",
            "0907 0928 1102 1130 0104 0125",
        ),
        (
            "1997-09-22",
            "FREQ=MONTHLY;COUNT=3;BYDAY=-2MO",
            "0922 1020 1117",
        ),
        (
            "1997-09-28",
            "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=4",
            "0928 1029 1128 1229",
        ),
        (
            "1997-09-30",
            "FREQ=MONTHLY;COUNT=5;BYMONTHDAY=1,-1",
            "0930 1001 1031 1101 1130",
        ),
        (
            "1997-09-10",
            "FREQ=MONTHLY;INTERVAL=18;COUNT=4;BYMONTHDAY=10,11,12",
            "0910 0911 0912 0310",
        ),
        (
            "1997-09-02",
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=4",
            "0902 0213 0313 1113",
        ),
        (
            "1997-09-13",
            "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13;COUNT=4",
            "0913 1011 1108 1213",
        ),
        (
            "1997-06-10",
            "FREQ=YEARLY;COUNT=4;BYMONTH=6,7",
            "0610 0710 0610 0710",
        ),
        (
            "1997-01-01",
            "FREQ=YEARLY;INTERVAL=3;COUNT=5;BYYEARDAY=1,100,200",
            "0101 0410 0719 0101 0409",
        ),
        (
            "1997-05-19",
            "FREQ=YEARLY;BYDAY=20MO;COUNT=3",
            "0519 0518 0517",
        ),
        (
            "1997-05-12",
            "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3",
            "0512 0511 0517",
        ),
        (
            "1997-05-14",
            "FREQ=YEARLY;BYWEEKNO=20;COUNT=3",
            "0514 0513 0519",
        ),
        (
            "1998-12-28",
            "FREQ=YEARLY;BYWEEKNO=53,-1;BYDAY=MO,SU;COUNT=5",
            "1228 0103 1227 0102 1225",
        ),
        (
            "1997-03-13",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=TH;COUNT=4",
            "0313 0320 0327 0305",
        ),
        (
            "1996-11-05",
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8;COUNT=3",
            "1105 1107 1102",
        ),
        (
            "1997-09-04",
            "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
            "0904 1007 1106",
        ),
        (
            "1997-09-29",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=3",
            "0929 1030 1127",
        ),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            "0805 0810 0819 0824",
        ),
        (
            "1997-08-05",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            "0805 0817 0819 0831",
        ),
        (
            "2007-01-15",
            "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
            "0115 0130 0215 0315 0330",
        ),
        ("1996-02-29", "FREQ=YEARLY;COUNT=3", "0229 0229 0229"),
        ("1997-01-31", "FREQ=MONTHLY;COUNT=4", "0131 0331 0531 0731"),
        (
            "1997-12-31",
            "FREQ=YEARLY;BYYEARDAY=-1,366;COUNT=3",
            "1231 1231 1231",
        ),
        (
            "1997-09-02",
            "FREQ=DAILY;BYMONTH=1;COUNT=3",
            "0902 0101 0102",
        ),
        (
            "1997-09-02",
            "FREQ=DAILY;BYHOUR=9,9;BYSETPOS=-1;INTERVAL=10;COUNT=3",
            "0902 0912 0922",
        ),
        (
            "1997-09-02",
            "FREQ=HOURLY;INTERVAL=36;BYHOUR=9;COUNT=3",
            "0902 0905 0908",
        ),
        (
            "1997-09-02",
            "FREQ=MINUTELY;BYDAY=TU;BYHOUR=9;BYMINUTE=0;COUNT=3",
            "0902 0909 0916",
        ),
        (
            "1997-09-02",
            "FREQ=SECONDLY;INTERVAL=86400;BYSECOND=0;COUNT=3",
            "0902 0903 0904",
        ),
    ];
    for (start, rule, days) in cases {
        let series = series(&format!("{start}T09:00:00"), rule).unwrap();
        let found = starts(&series, "1996-01-01", 9);
        let shown: Vec<_> = found.iter().map(|at| at[5..10].replace('-', "")).collect();
        let expected: Vec<_> = days.split(' ').collect();
        assert_eq!(
            shown[..expected.len().min(shown.len())],
            expected,
            "{start} {rule}"
        );
    }
}

#[test]
fn times_within_a_day_are_counted_off() {
    // Start, rule, first starts in UTC (Berlin is an hour ahead).
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "2026-01-05T09:00:00",
            "FREQ=HOURLY;INTERVAL=3;UNTIL=20260105T140000Z",
            &["05T08:00", "05T11:00", "05T14:00"],
        ),
        (
            "2026-01-05T09:00:00",
            "FREQ=MINUTELY;INTERVAL=90;COUNT=3",
            &["05T08:00", "05T09:30", "05T11:00"],
        ),
        (
            "2026-01-05T09:00:00",
            "FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,30;BYSETPOS=2,-1;COUNT=4",
            // The first is DTSTART, which the rule does not yield.
            &["05T08:00", "05T08:30", "05T09:30", "06T08:30"],
        ),
        (
            "2026-01-05T16:40:00",
            "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,16",
            &["05T15:40", "06T08:00", "06T08:20"],
        ),
        (
            "2026-01-05T09:00:59",
            "FREQ=SECONDLY;INTERVAL=61;BYMINUTE=5",
            &["05T08:00", "05T08:05", "05T09:05"],
        ),
    ];
    for (start, rule, expected) in cases {
        let series = series(start, rule).unwrap();
        let found = starts(&series, "2026-01-01", expected.len());
        let shown: Vec<_> = found.iter().map(|at| &at[8..]).collect();
        assert_eq!(&shown, expected, "{start} {rule}");
    }
}

/// A rule asked from late on answers as one that is followed from its start: COUNT takes no other way.
#[test]
fn beginning_late_changes_nothing() {
    let rules = [
        "FREQ=YEARLY;INTERVAL=3;BYMONTH=2,9;BYDAY=-1SU",
        "FREQ=YEARLY;BYWEEKNO=1,-1;BYDAY=MO,SU;WKST=SU",
        "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=31,-31",
        "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-2",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO;WKST=WE",
        "FREQ=DAILY;INTERVAL=11;BYMONTH=1,12",
        "FREQ=HOURLY;INTERVAL=5;BYDAY=SA;BYHOUR=3,4,5",
        "FREQ=MINUTELY;INTERVAL=1441;BYMONTHDAY=1",
    ];
    for rule in rules {
        for day in 1..40 {
            let from = format!("2000-{:02}-{:02}", day % 12 + 1, day % 28 + 1);
            let ask = |rule: &str| starts(&series("1999-01-31T03:30:10", rule).unwrap(), &from, 3);
            assert_eq!(
                ask(rule),
                ask(&format!("{rule};COUNT=50000")),
                "{rule} {from}"
            );
        }
    }
}

#[test]
fn exception_rules_take_out_what_they_yield() {
    let rules = ["FREQ=DAILY"].map(str::to_owned);
    let except = ["FREQ=WEEKLY;BYDAY=SA,SU", "FREQ=DAILY;COUNT=2"].map(str::to_owned);
    let series = Series::single(BERLIN, local("2026-01-08T10:00:00"), Length::ZERO)
        .with_rules(&rules, &except)
        .unwrap();
    assert_eq!(
        starts(&series, "2020-01-01", 2),
        ["2026-01-12T09:00", "2026-01-13T09:00"]
    );
    assert_eq!(starts(&series, "2030-01-05", 1), ["2030-01-07T09:00"]);
    let series = Series::single(BERLIN, local("2026-01-08T10:00:00"), Length::ZERO)
        .with_rules(&rules, &rules)
        .unwrap();
    let said = series.first(utc("2026-01-01"), |_| true, &Budget::new(DOCUMENT_STEPS));
    assert_eq!(
        said.unwrap_err(),
        "the recurrence rule takes too long to follow"
    );
}

#[test]
fn changes_hold_until_the_next_one() {
    let change = |day: &str, hours, length| Change {
        at: local(&format!("2026-01-{day}T10:00:00")),
        shift: TimeDelta::hours(hours),
        length: Length::parse(length).unwrap(),
        cancelled: false,
    };
    let mut without = Without::default();
    for day in ["06", "08", "10"] {
        let at = local(&format!("2026-01-{day}T10:00:00"));
        without.add(BERLIN, When::Zoned(at, Zone::Iana(Tz::Europe__Berlin)));
    }
    let rules = ["FREQ=DAILY;COUNT=9".to_owned()];
    let series = Series::single(BERLIN, local("2026-01-05T10:00:00"), Length::ZERO)
        .with_rules(&rules, &[])
        .unwrap()
        .without(without)
        .with_changes(vec![
            Change::cancels(local("2026-01-10T10:00:00")),
            change("06", 1, "PT1H"),
            change("08", -30, "PT2H"),
        ]);
    let mut found = Vec::new();
    let mut from = utc("2020-01-01");
    while let Some(span) = series
        .first(
            from,
            |span| span.start >= from,
            &Budget::new(DOCUMENT_STEPS),
        )
        .unwrap()
    {
        let length = (span.end - span.start).num_hours();
        found.push(format!("{} {length}", span.start.format("%dT%H")));
        from = span.start + TimeDelta::seconds(1);
    }
    // The 9th is moved to the 8th, the 7th stays where its own change put it.
    assert_eq!(found, ["05T09 0", "07T10 1", "08T03 2"]);
}

#[test]
fn a_period_gives_its_own_length() {
    let at = |text| When::Zoned(local(text), Zone::Iana(Tz::Europe__Berlin));
    let extra = [
        (at("2026-01-05T10:00:00"), Length::parse("PT3H")),
        (at("2026-01-06T10:00:00"), None),
        (at("2026-01-07T10:00:00"), Length::parse("P1D")),
    ];
    let hour = Length::parse("PT1H").unwrap();
    let series =
        Series::single(BERLIN, local("2026-01-05T10:00:00"), hour).with_extra(extra.into_iter());
    for (now, hours) in [("2026-01-01", 3), ("2026-01-06", 1), ("2026-01-07", 24)] {
        let now = utc(now);
        let span = series.first(now, |span| span.end > now, &Budget::new(DOCUMENT_STEPS));
        let span = span.unwrap().unwrap();
        assert_eq!((span.end - span.start).num_hours(), hours, "{now}");
    }
}

/// In the gap a time is moved behind one that stands after it.
#[test]
fn the_earliest_is_earliest_in_time() {
    let extra = [When::Floating(local("2026-03-29T03:00:00"))];
    let series = Series::single(BERLIN, local("2026-03-29T02:30:00"), Length::ZERO)
        .with_extra(extra.into_iter().map(|when| (when, None)));
    assert_eq!(
        starts(&series, "2026-01-01", 2),
        ["2026-03-29T01:00", "2026-03-29T01:30"]
    );
}

/// A document's series share what they may cost; one that cannot be followed costs no more than its own.
#[test]
fn a_document_has_one_budget() {
    let budget = Budget::new(900_000);
    let now = utc("2026-11-23");
    let hostile = series("1990-01-01T00:00:00", "FREQ=SECONDLY;COUNT=900000000").unwrap();
    let plain = series("1990-01-01T00:00:00", "FREQ=WEEKLY").unwrap();
    let said = |series: &Series<'_>| series.first(now, |span| span.end > now, &budget);
    assert_eq!(
        said(&hostile).unwrap_err(),
        "the recurrence rule takes too long to follow"
    );
    assert!(said(&plain).unwrap().is_some());
    for _ in 0..3 {
        assert!(said(&hostile).is_err());
    }
    assert_eq!(
        said(&plain).unwrap_err(),
        "all recurrence rules of the file together take too long"
    );
    // What needs no rule is read all the same.
    let single = Series::single(BERLIN, local("2027-01-01"), Length::ZERO);
    assert!(said(&single).unwrap().is_some());
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
                let _ = series.first(now, |span| span.end > now, &Budget::new(DOCUMENT_STEPS));
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
            if let Ok(Some(span)) = series.first(now, |span| span.end > now, &Budget::new(DOCUMENT_STEPS)) {
                proptest::prop_assert!(span.end > now && span.start >= start.and_utc() - TimeDelta::days(1));
            }
        }
    }
}
