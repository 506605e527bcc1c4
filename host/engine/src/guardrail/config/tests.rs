use super::*;
use crate::event::parse_instant;
use crate::guardrail::TimeOfDay;
use crate::plugin::parse_toml;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    guardrail: BTreeMap<String, Guardrail>,
}

fn parse_all(text: &str) -> Result<BTreeMap<String, Guardrail>, String> {
    let file = parse_toml::<File>("carpe.toml".as_ref(), text.as_bytes());
    file.map(|file| file.guardrail).map_err(|error| error.to_string())
}

fn parse(table: &str) -> Result<Guardrail, String> {
    parse_all(&format!("[guardrail.g]\n{table}\n")).map(|mut all| all.remove("g").unwrap())
}

fn pointer(text: &str) -> JsonPointer {
    JsonPointer::parse(text).unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

#[test]
fn everything_may_be_said() {
    let all = parse_all(include_str!("example.toml")).unwrap();
    let covers = Selector {
        actions: patterns(&["offer.*", "advert.*"]),
        except: patterns(&["*.withdraw"]),
        rules: patterns(&["shop-nearby"]),
        moments: patterns(&["shop.*"]),
    };
    let purposes = [("offer.*", "offers"), ("advert.*", "adverts")];
    let purposes = purposes.map(|(name, purpose)| (pattern(name), purpose.to_owned())).into();
    let hours =
        QuietHours::new(TimeOfDay::parse("22:00").unwrap(), TimeOfDay::parse("07:00").unwrap()).unwrap();
    let above = Threshold { amount_pointer: pointer("/total"), above_millionths: 50_000_000 };
    let expected = [
        ("a-yes-for-offers", covers, Kind::Consent(Consent { purposes })),
        (
            "seldom",
            Selector::default(),
            Kind::Frequency(Frequency { at_most: 3, period_ms: 86_400_000, each: Each::Subject }),
        ),
        (
            "at-night",
            Selector::default(),
            Kind::QuietHours(Quiet {
                hours,
                time_zone: Some(TimeZone::parse("Europe/Vienna").unwrap()),
                time_zone_pointer: Some(pointer("/timeZone")),
                then: Then::Hold,
            }),
        ),
        (
            "machine-money",
            Selector::default(),
            Kind::Budget(Budget {
                amount_pointer: pointer("/total"),
                at_most_millionths: 200_000_000,
                period_ms: 604_800_000,
                each: Each::Subject,
            }),
        ),
        (
            "large-orders",
            Selector::default(),
            Kind::Approval(Approval { above: Some(above), within_ms: 3_600_000 }),
        ),
        (
            "sms-rate",
            Selector::default(),
            Kind::Rate(Rate { sink: "sms".to_owned(), at_most: 10, period_ms: 60_000, then: Then::Hold }),
        ),
        (
            "one-at-a-time",
            Selector::default(),
            Kind::Exclusive(Exclusive {
                window_ms: 30_000,
                order: patterns(&["flood.*", "medication.*", "offer.*"]),
            }),
        ),
        (
            "no-adverts-this-week",
            Selector { actions: patterns(&["advert.*"]), ..Selector::default() },
            Kind::Mute(Mute {
                subjects: vec!["anna".to_owned()],
                until: parse_instant("2026-12-01T00:00:00Z"),
            }),
        ),
    ];
    for (name, covers, kind) in expected {
        assert_eq!(all.get(name), Some(&Guardrail { covers, kind }), "{name}");
    }
    assert_eq!(all.len(), 8);
    for guardrail in all.values() {
        let name = guardrail.kind.name();
        assert!(include_str!("example.toml").contains(&format!("kind = \"{name}\"")), "{name}");
    }
}

#[test]
fn what_may_be_left_out() {
    for (table, kind) in [
        (
            "kind='frequency'\nat_most=1\nperiod_seconds=1",
            Kind::Frequency(Frequency { at_most: 1, period_ms: 1_000, each: Each::Subject }),
        ),
        (
            "kind='frequency'\nat_most=1\nperiod_seconds=315360000\neach='all'",
            Kind::Frequency(Frequency { at_most: 1, period_ms: 315_360_000_000, each: Each::All }),
        ),
        (
            "kind='rate'\nsink='s'\nat_most=1\nperiod_seconds=1\nthen='withhold'",
            Kind::Rate(Rate { sink: "s".to_owned(), at_most: 1, period_ms: 1_000, then: Then::Withhold }),
        ),
        ("kind='approval'\nwithin_seconds=1", Kind::Approval(Approval { above: None, within_ms: 1_000 })),
        ("kind='mute'", Kind::Mute(Mute { subjects: Vec::new(), until: None })),
        (
            "kind='exclusive'\nwindow_ms=86400000\norder=['*']",
            Kind::Exclusive(Exclusive { window_ms: 86_400_000, order: patterns(&["*"]) }),
        ),
    ] {
        assert_eq!(parse(table), Ok(Guardrail { covers: Selector::default(), kind }), "{table}");
    }
    let one_zone = parse("kind='quiet-hours'\nfrom='23:00'\nto='00:00'\ntime_zone_pointer='/zone'").unwrap();
    let Kind::QuietHours(quiet) = one_zone.kind else { panic!("{one_zone:?}") };
    assert_eq!((quiet.time_zone, quiet.hours.to_string().as_str()), (None, "23:00 to 00:00"));
}

#[test]
fn amounts_are_exact() {
    for (written, amount) in [
        ("200", 200_000_000),
        ("0.1", 100_000),
        ("0.000001", 1),
        ("1e-6", 1),
        ("2.5e3", 2_500_000_000),
        ("1_234.567891", 1_234_567_891),
        ("8_999_999_999_999", 8_999_999_999_999_000_000),
    ] {
        let table = format!("kind='budget'\namount_pointer=''\nperiod_seconds=1\nat_most={written}");
        let Kind::Budget(budget) = parse(&table).unwrap().kind else { panic!("{table}") };
        assert_eq!(budget.at_most_millionths, amount, "{written}");
    }
    let free = parse("kind='approval'\namount_pointer='/a'\nabove=0\nwithin_seconds=1").unwrap();
    let Kind::Approval(Approval { above: Some(above), .. }) = free.kind else { panic!("{free:?}") };
    assert_eq!(above.above_millionths, 0);
}

#[test]
fn an_error_says_where_and_what_to_do() {
    for (table, says) in [
        // Keys.
        (
            "kind='mute'\nsubject=['a']",
            "carpe.toml:3:1: `guardrail.g.subject`: there is no such key; did you mean `subjects`?",
        ),
        (
            "kind='mutе'",
            "2:6: `guardrail.g.kind`: unknown variant `mutе`, expected one of `consent`, `frequency`",
        ),
        ("actions=['a']", "missing field `kind`"),
        (
            "kind='mute'\nwindow_ms=1",
            "`window_ms` means nothing to a guardrail of the kind `mute`: remove it",
        ),
        (
            "kind='consent'\npurposes={a='b'}\neach='all'",
            "`each` means nothing to a guardrail of the kind `consent`",
        ),
        (
            "kind='exclusive'\nwindow_seconds=30\norder=['a']",
            "3:1: `guardrail.g.window_seconds`: there is no such key; did you mean `within_seconds`?",
        ),
        // Patterns.
        ("kind='mute'\nactions=[]", "`actions` is empty: name at least one, or leave it out"),
        ("kind='mute'\nactions=['']", "`` must be a name, or the beginning or the ending"),
        ("kind='mute'\nactions=['a*b']", "3:9: `guardrail.g.actions`: `a*b` must be a name"),
        ("kind='mute'\nexcept=['*a*']", "`*a*` must be a name"),
        ("kind='mute'\nexcept=['**']", "`**` must be a name"),
        ("kind='mute'\nexcept=[]", "`except` is empty"),
        ("kind='mute'\nrules=['*a']", "`rules` has `*a`, but only `except` takes a `*` in front"),
        ("kind='mute'\nmoments=['*a']", "`moments` has `*a`"),
        (
            "kind='mute'\nactions='a'",
            "3:9: `guardrail.g.actions`: invalid type: string \"a\", expected a sequence",
        ),
        // Consent.
        ("kind='consent'", "needs `purposes`: add it"),
        ("kind='consent'\npurposes={}", "`purposes` is empty: say what actions are for"),
        ("kind='consent'\npurposes={a=''}", "`purposes` is empty: name each"),
        ("kind='consent'\npurposes={'*a'='b'}", "`purposes` has `*a`"),
        ("kind='consent'\npurposes={''='b'}", "`` must be a name"),
        // Counts and periods.
        ("kind='frequency'\nperiod_seconds=1", "needs `at_most`: add it"),
        ("kind='frequency'\nat_most=1", "needs `period_seconds`: add it"),
        (
            "kind='frequency'\nat_most=0\nperiod_seconds=1",
            "`at_most` is 0: it must be a whole number, 1 or more",
        ),
        ("kind='frequency'\nat_most=-1\nperiod_seconds=1", "`at_most` is -1: it must be a whole number"),
        ("kind='frequency'\nat_most=1.5\nperiod_seconds=1", "`at_most` is 1.5: it must be a whole number"),
        (
            "kind='frequency'\nat_most='3'\nperiod_seconds=1",
            "3:9: `guardrail.g.at_most`: a number is needed here",
        ),
        (
            "kind='frequency'\nat_most=1\nperiod_seconds=0",
            "`period_seconds` is 0: it must be 1 to 315360000 (10 years)",
        ),
        (
            "kind='frequency'\nat_most=1\nperiod_seconds=315360001",
            "`period_seconds` is 315360001: it must be",
        ),
        ("kind='frequency'\nat_most=1\nperiod_seconds=-1", "expected u64"),
        (
            "kind='frequency'\nat_most=1\nperiod_seconds=1\neach='rule'",
            "5:6: `guardrail.g.each`: unknown variant `rule`, expected `subject` or `all`",
        ),
        // Quiet hours.
        ("kind='quiet-hours'\nto='07:00'\ntime_zone='UTC'", "needs `from`: add it"),
        ("kind='quiet-hours'\nfrom='07:00'\ntime_zone='UTC'", "needs `to`: add it"),
        (
            "kind='quiet-hours'\nfrom='7:00'\nto='08:00'\ntime_zone='UTC'",
            "`7:00` is no time of day: write hours and",
        ),
        (
            "kind='quiet-hours'\nfrom=07:00:00\nto='08:00'\ntime_zone='UTC'",
            "3:6: `guardrail.g.from`: a time of day is",
        ),
        (
            "kind='quiet-hours'\nfrom='07:00'\nto='07:00'\ntime_zone='UTC'",
            "quiet hours from 07:00 to 07:00 are either none or all: give two times",
        ),
        (
            "kind='quiet-hours'\nfrom='22:00'\nto='07:00'",
            "neither `time_zone` nor `time_zone_pointer` says by whose",
        ),
        (
            "kind='quiet-hours'\nfrom='22:00'\nto='07:00'\ntime_zone='Europe/Wien'",
            "5:11: `guardrail.g.time_zone`: `Europe/Wien` is no time zone that is known: write a name of the IANA",
        ),
        (
            "kind='quiet-hours'\nfrom='22:00'\nto='07:00'\ntime_zone_pointer='zone'",
            "5:19: `guardrail.g.time_zone_pointer`: `zone` is no JSON Pointer: those begin with `/`, write `/zone`",
        ),
        // Amounts.
        ("kind='budget'\nat_most=1\nperiod_seconds=1", "needs `amount_pointer`: add it"),
        ("kind='budget'\namount_pointer='/a'\nperiod_seconds=1", "needs `at_most`: add it"),
        ("kind='budget'\namount_pointer='/a'\nat_most=1", "needs `period_seconds`: add it"),
        (
            "kind='budget'\namount_pointer='/a~2'\nat_most=1\nperiod_seconds=1",
            "3:16: `guardrail.g.amount_pointer`: `/a~2` is no JSON Pointer: a `~` in a name is written `~0`",
        ),
        (
            "kind='budget'\namount_pointer='/a'\nat_most=0.0\nperiod_seconds=1",
            "`at_most` is 0: it must be more than 0 and below 9000000000000, with at most 6 decimal places",
        ),
        (
            "kind='budget'\namount_pointer='/a'\nat_most=-0.5\nperiod_seconds=1",
            "`at_most` is -0.5: it must be more",
        ),
        (
            "kind='budget'\namount_pointer='/a'\nat_most=0.0000001\nperiod_seconds=1",
            "`at_most` is 0.0000001: it",
        ),
        (
            "kind='budget'\namount_pointer='/a'\nat_most=9e12\nperiod_seconds=1",
            "`at_most` is 9000000000000: it",
        ),
        ("kind='budget'\namount_pointer='/a'\nat_most=inf\nperiod_seconds=1", "`at_most` is inf: it must be"),
        ("kind='budget'\namount_pointer='/a'\nat_most=nan\nperiod_seconds=1", "`at_most` is NaN: it must be"),
        (
            "kind='approval'\nwithin_seconds=1\nabove=1",
            "`above` means nothing without `amount_pointer`: add that",
        ),
        (
            "kind='approval'\nwithin_seconds=1\namount_pointer=''",
            "`amount_pointer` means nothing without `above`",
        ),
        (
            "kind='approval'\nwithin_seconds=1\namount_pointer=''\nabove=-1",
            "`above` is -1: it must be 0 or more and below",
        ),
        ("kind='approval'", "needs `within_seconds`: add it"),
        // The others.
        ("kind='rate'\nat_most=1\nperiod_seconds=1", "needs `sink`: add it"),
        ("kind='rate'\nat_most=1\nperiod_seconds=1\nsink=''", "`sink` is empty: name one"),
        ("kind='exclusive'\norder=['a']", "needs `window_ms`: add it"),
        ("kind='exclusive'\nwindow_ms=1", "needs `order`: add it"),
        ("kind='exclusive'\nwindow_ms=1\norder=[]", "`order` is empty: name at least one"),
        ("kind='exclusive'\nwindow_ms=0\norder=['a']", "`window_ms` is 0: it must be 1 to 86400000 (a day)"),
        ("kind='exclusive'\nwindow_ms=86400001\norder=['a']", "`window_ms` is 86400001: it must be"),
        ("kind='mute'\nsubjects=[]", "`subjects` is empty: name at least one, or leave it out"),
        ("kind='mute'\nsubjects=['']", "`subjects` is empty: name each of them"),
        ("kind='mute'\nuntil='tomorrow'", "`until` is `tomorrow`: it must be an instant such as"),
        (
            "kind='mute'\nuntil=2026-12-01T00:00:00Z",
            "3:7: `guardrail.g.until`: an instant is written in quotes, as in \"2026-12-01T00:00:00Z\"",
        ),
    ] {
        let error = parse(table).unwrap_err();
        assert!(error.contains(says), "{table}\n{error}");
        assert!(error.starts_with("carpe.toml:") && error.contains("guardrail.g"), "{table}\n{error}");
    }
}

#[test]
fn a_selector_covers_what_fits_all_of_it() {
    let parse = |selector: &str| parse(&format!("kind='mute'\n{selector}")).unwrap().covers;
    for (selector, rule, moment, action, covers) in [
        ("", "r", "m", "a", true),
        ("actions=['offer.*','pay']", "r", "m", "offer.new", true),
        ("actions=['offer.*','pay']", "r", "m", "pay", true),
        ("actions=['offer.*','pay']", "r", "m", "pay.back", false),
        ("actions=['offer.*','pay']", "r", "m", "offer", false),
        ("except=['*.withdraw']", "r", "m", "offer.withdraw", false),
        ("except=['*.withdraw']", "r", "m", "offer.new", true),
        ("except=['offer.*']", "r", "m", "offer.new", false),
        ("actions=['offer.*']\nexcept=['*.withdraw','offer.free']", "r", "m", "offer.free", false),
        ("rules=['shop','lamps*']", "shop", "m", "a", true),
        ("rules=['shop','lamps*']", "lamps-2", "m", "a", true),
        ("rules=['shop','lamps*']", "shop-2", "m", "a", false),
        ("moments=['shop.*']", "r", "shop.near", "a", true),
        ("moments=['shop.*']", "r", "flood", "a", false),
        ("actions=['a']\nrules=['r']\nmoments=['m']", "r", "m", "a", true),
        ("actions=['a']\nrules=['r']\nmoments=['m']", "x", "m", "a", false),
        ("actions=['a']\nrules=['r']\nmoments=['m']", "r", "x", "a", false),
        ("actions=['a']\nrules=['r']\nmoments=['m']", "r", "m", "x", false),
    ] {
        assert_eq!(
            parse(selector).covers(rule, moment, action),
            covers,
            "{selector}: {rule} {moment} {action}"
        );
    }
}

#[test]
fn the_longest_pattern_names_the_purpose() {
    let table =
        "kind='consent'\npurposes={'offer.*'='offers','offer.new*'='news','offer.new'='new','*'='rest'}";
    let Kind::Consent(consent) = parse(table).unwrap().kind else { panic!("{table}") };
    for (action, purpose) in
        [("offer.old", "offers"), ("offer.newest", "news"), ("offer.new", "new"), ("pay", "rest")]
    {
        assert_eq!(consent.purpose(action), Some(purpose), "{action}");
    }
    let Kind::Consent(consent) = parse("kind='consent'\npurposes={a='b'}").unwrap().kind else { panic!() };
    assert_eq!(consent.purpose("c"), None);
}

#[test]
fn what_is_in_no_order_comes_last() {
    let table = "kind='exclusive'\nwindow_ms=1\norder=['flood.*','offer']";
    let Kind::Exclusive(exclusive) = parse(table).unwrap().kind else { panic!("{table}") };
    let places = ["flood.high", "offer", "offer.new"].map(|kind| exclusive.place(kind));
    assert_eq!(places, [0, 1, 2]);
}

#[test]
fn a_pattern_is_shown_as_it_is_written() {
    for text in ["offer.new", "offer.*", "*.withdraw", "*"] {
        assert_eq!(pattern(text).to_string(), text);
    }
}

#[test]
fn json_is_read_too() {
    let json = r#"{"kind":"budget","amount_pointer":"/total","at_most":0.3,"period_seconds":60}"#;
    let Kind::Budget(budget) = serde_json::from_str::<Guardrail>(json).unwrap().kind else { panic!() };
    assert_eq!(budget.at_most_millionths, 300_000);
}
