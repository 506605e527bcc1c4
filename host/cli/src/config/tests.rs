use super::*;

fn parse(text: &str) -> Result<Config, String> {
    carpe::plugin::parse_toml(Path::new("carpe.toml"), text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn the_default_file_says_the_defaults() {
    let config = parse(DEFAULT).unwrap();
    assert_eq!(format!("{config:#?}"), format!("{:#?}", Config::default()));
}

/// The keys of a section, as the error about one that isn't there lists them.
fn keys(section: &str) -> Vec<String> {
    let error = parse(&format!("{section}\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq = 1")).unwrap_err();
    let (_, keys) = error.split_once("there are: ").unwrap_or_else(|| panic!("{section}: {error}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_default_file_has_every_key() {
    for key in keys("") {
        let found = ["", "# "].iter().any(|comment| {
            [format!("{key} = "), format!("[{key}]"), format!("[[{key}]]"), format!("[{key}.")]
                .iter()
                .any(|form| DEFAULT.lines().any(|line| line.starts_with(&format!("{comment}{form}"))))
        });
        assert!(found, "`{key}`");
    }
    let sections = [
        "listen",
        "limits",
        "intake",
        "retry",
        "sandbox",
        "journal",
        "checkpoints",
        "moments",
        "log",
        "shutdown",
    ];
    for section in sections {
        let header = format!("[{section}]");
        let text = DEFAULT.split_once(&header).unwrap().1;
        let text = text.split("\n[").next().unwrap();
        for key in keys(&header) {
            let there = text.lines().any(|line| {
                line.trim_start_matches("# ").strip_prefix(&key).is_some_and(|rest| rest.starts_with(" = "))
            });
            assert!(there, "`{section}.{key}`");
        }
    }
}

/// What is commented out is no less true.
#[test]
fn the_examples_in_the_default_file_can_be_read() {
    let shown: String = DEFAULT
        .lines()
        .map(|line| {
            let is_setting = |rest: &&str| rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            let example = line.strip_prefix("# ").filter(|rest| rest.starts_with('[') || is_setting(rest));
            format!("{}\n", example.unwrap_or(line))
        })
        .collect();
    let config = parse(&shown).unwrap();
    assert_eq!((config.sources.len(), config.sinks.len(), config.routes.len()), (1, 2, 2), "{shown}");
    assert_eq!((config.guardrails.len(), config.default_sink.as_deref()), (8, Some("log")));
    config.check(Path::new("carpe.toml")).unwrap();
}

#[test]
fn a_mistake_is_named_with_its_place() {
    for (text, says) in [
        ("[lisen]\n", "carpe.toml:1:2: `lisen`: there is no such key; did you mean `listen`?"),
        (
            "[listen]\nevent = \"127.0.0.1:0\"\n",
            "carpe.toml:2:1: `listen.event`: there is no such key; did you mean `events`?",
        ),
        (
            "[limits]\nmemory_bytes = \"1 GB\"\n",
            "carpe.toml:2:16: `limits.memory_bytes`: invalid type: string \"1 GB\", expected usize",
        ),
        ("threads = 0\n", "carpe.toml:1:11: `threads`: invalid value: integer `0`, expected a nonzero usize"),
        (
            "[journal]\nkeep_second = 1\n",
            "carpe.toml:2:1: `journal.keep_second`: there is no such key; did you mean `keep_seconds`?",
        ),
        (
            "timeline = \"sidereal\"\n",
            "carpe.toml:1:12: `timeline`: unknown variant `sidereal`, expected `received` or `event`",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), says, "{text}");
    }
}

#[test]
fn a_route_needs_its_sink() {
    let config =
        parse("[[route]]\naction = 'a'\nsink = 'opps'\n[sink.ops]\nkind = 'file'\npath = 'x'").unwrap();
    let failure = config.check(Path::new("carpe.toml")).unwrap_err();
    let says = "error: carpe.toml: the route of `a` leads to the sink `opps`, which there is not\n\
                hint: add `[sink.opps]`; there are: ops, stdout\n";
    assert_eq!(failure.to_string(), says);
}

#[test]
fn a_guardrail_has_a_plain_name() {
    let config = parse("[guardrail.\"carpe mute\"]\nkind = 'mute'").unwrap();
    let failure = config.check(Path::new("carpe.toml")).unwrap_err().to_string();
    assert!(
        failure.starts_with("error: carpe.toml: `guardrail.\"carpe mute\"` is no name of a guardrail\n"),
        "{failure}"
    );
    parse("[guardrail.at-night_2]\nkind = 'mute'").unwrap().check(Path::new("carpe.toml")).unwrap();
}

#[test]
fn paths_start_from_the_file() {
    let mut config = parse("data = '/var/lib/carpe'\n[listen]\ntoken_file = 't'").unwrap();
    config.start_paths_from(Path::new("/etc/carpe"));
    assert_eq!(config.data, Path::new("/var/lib/carpe"));
    assert_eq!(config.plugins, Path::new("/etc/carpe/plugins"));
    assert_eq!(config.listen.token_file.as_deref(), Some(Path::new("/etc/carpe/t")));
}
