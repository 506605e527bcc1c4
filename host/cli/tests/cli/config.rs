//! The command line and the configuration: what is wrong, where, and what to do.

use crate::carpe::Place;

#[test]
fn help_lists_commands_and_exit_codes() {
    let place = Place::new();
    let help = place.carpe(&["--help"]).expect(0);
    let words = [
        "run",
        "check",
        "build",
        "send",
        "status",
        "dead-letters",
        "state",
        "erase",
        "backup",
        "verify",
        "replay",
        "config",
        "demo",
    ];
    let places: Vec<Option<usize>> =
        words.iter().map(|word| help.out.find(&format!("\n  {word} "))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", help.out);
    assert!(help.out.contains("Exit codes"), "{}", help.out);
    place.carpe(&["runn"]).expect(2);
    place.carpe(&["run", "--threads", "0"]).expect(2);
    place.carpe(&["run", "--skip-bad-lines"]).expect(2);
}

#[test]
fn the_default_configuration_is_one() {
    let place = Place::new();
    let printed = place.carpe(&["config", "--print-default"]).expect(0);
    place.write("carpe.toml", &printed.out);
    let checked = place.carpe(&["config", "--check", "carpe.toml"]).expect(0);
    assert_eq!(
        checked.out,
        "carpe.toml is a configuration: 0 sources besides HTTP, 0 sinks, 0 routes, 0 guardrails\n"
    );
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let place = Place::new();
    for (text, says) in [
        ("[lisen]\n", "carpe.toml:1:2: `lisen`: there is no such key; did you mean `listen`?"),
        ("data = 1\n", "carpe.toml:1:8: `data`: invalid type: integer `1`, expected path string"),
        ("[log]\nfilter = \"=x=\"\n", "`log.filter` is `=x=`, which is no filter"),
        (
            "[[route]]\naction = 'a'\nsink = 'b'\n",
            "the route of `a` leads to the sink `b`, which there is not",
        ),
        ("default_sink = 'b'\n", "`default_sink` leads to the sink `b`, which there is not"),
        (
            "[guardrail.slow]\nkind = 'rate'\nsink = 'sms'\nat_most = 1\nperiod_seconds = 1\n",
            "`guardrail.slow` is for the sink `sms`, which there is not",
        ),
        ("[guardrail.a]\nkind = 'consent'\n", "a guardrail of this kind needs `purposes`: add it"),
        ("[guardrail.a]\nkind = 'curfew'\n", "unknown variant `curfew`"),
        (
            "[guardrail.a]\nkind = 'mute'\nat_most = 1\n",
            "`at_most` means nothing to a guardrail of the kind `mute`",
        ),
        ("[guardrail.a]\nkind = 'mute'\nsubject = []\n", "did you mean `subjects`?"),
        ("consent_file = 'none.jsonl'\n", "cannot read the consent file none.jsonl"),
        ("[sink.a]\nkind = 'pigeon'\n", "unknown variant `pigeon`"),
        ("[sink.a]\nkind = 'webhook'\nurl = 'ftp://x/t0ken'\n", "cannot start the sink `a`"),
        ("[listen]\ntoken = 't0ken'\ntoken_file = 'x'\n", "both `token` and `token_file` are set"),
        ("[listen]\nevents = 'somewhere'\n", "`listen.events` is `somewhere`, which is no address"),
    ] {
        place.write("carpe.toml", text);
        let said = place.carpe(&["run", "--listen-operators", "none"]).expect(3).expect_err(says);
        assert!(!said.err.contains("t0ken") && said.out.is_empty(), "{said:#?}");
    }
    place
        .carpe(&["run", "--config", "none.toml"])
        .expect(3)
        .expect_err("cannot read the configuration none.toml");
}

#[test]
fn other_machines_need_a_token() {
    let place = Place::new();
    for listener in ["--listen-events", "--listen-operators"] {
        let said = place.carpe(&["run", listener, "0.0.0.0:0"]).expect(3);
        said.expect_err("which other machines can reach, and no token is set")
            .expect_err("listen.token_file");
    }
}
