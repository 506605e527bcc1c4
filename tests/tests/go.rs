//! What Go's runtime does in a guest: it collects garbage and grows stacks while the host calls it.

use std::sync::{Arc, Mutex, PoisonError};

use carpe::rule::{Batch, Input, Keyed, Payload};
use carpe::sandbox::{GuestLog, Instance, LogLevel, Sandbox};
use carpe::{DataRef, Limits};
use carpe_tests::guests::{guest, root, sandbox, target};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl GuestLog for Lines {
    fn line(&self, _: LogLevel, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }
}

fn start(log: &Arc<Lines>) -> Instance {
    let sandbox = Sandbox::new(sandbox()).expect("a sandbox");
    let component = sandbox.load(&guest("conform-go")).expect("loads");
    let log = Arc::clone(log) as Arc<dyn GuestLog>;
    component
        .instantiate(r#"{"greeting":"Hello","limit":1000000000}"#, &Limits::default(), log)
        .expect("starts")
        .0
}

fn event(data: &str) -> Input<'_> {
    let payload = Payload::Event { subscription: 1, attributes: Vec::new(), data: DataRef::Json(data) };
    Input { key: 0, time: 1, now: 1, payload }
}

/// Some ten times the memory that an instance may have becomes garbage: the collector runs again and again, also
/// between calls and while arguments are passed, in batches in columns and in records, of all sizes.
#[test]
fn many_thousand_batches_of_one_instance_stay_within_its_memory() {
    const BATCHES: usize = 30_000;
    let log = Arc::new(Lines::default());
    let mut instance = start(&log);
    let beginning = instance.memory_bytes();
    let long = "x".repeat(200);
    let say =
        format!(r#"{{"do":[{{"set":["{long}",{{"a":1}}]}},{{"say":"{long}","data":{{"b":[1,2,3]}}}}]}}"#);
    let mut state = None;
    let mut half = 0;
    for number in 0..BATCHES {
        if number == BATCHES / 2 {
            half = instance.memory_bytes();
        }
        let mut inputs: Vec<Input<'_>> = (0..1 + number % 7).map(|_| event(&say)).collect();
        if number % 3 == 0 {
            inputs.push(Input { key: 0, time: 1, now: 1, payload: Payload::Timer { name: "later" } });
        }
        let count = inputs.len();
        let batch = Batch { keys: vec![Keyed { name: "k", state: state.as_deref() }], inputs };
        let effects = instance.handle(&batch).expect("handles");
        assert_eq!((effects.moments.len(), effects.failures.len()), (count, 0), "batch {number}");
        state = effects.states.into_iter().next().expect("a state").state;
    }
    let end = instance.memory_bytes();
    println!("memory: {beginning} at the beginning, {half} halfway, {end} at the end");
    assert!(end < Limits::default().memory_bytes / 2, "{end} bytes");
    // Heaps breathe; one that leaks would have grown by far more.
    assert!(end <= half + (8 << 20), "{half} bytes halfway, {end} at the end");
    assert_eq!(*log.0.lock().unwrap_or_else(PoisonError::into_inner), [""; 0]);
}

/// A deep recursion grows the stack, which moves it; the next calls find it moved. One that is deeper than the host's
/// own stack allows is refused before.
#[test]
fn stacks_that_grow_serve_on() {
    let mut instance = start(&Arc::default());
    let nested = |depth: usize| {
        format!(r#"{{"do":[{{"set":{}{}}},{{"show":true}}]}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    let keys = || vec![Keyed { name: "k", state: None }];
    for (depth, expected) in [(120, (1, 0)), (1, (1, 0)), (10_000, (0, 1)), (124, (1, 0)), (125, (0, 1))] {
        let data = nested(depth);
        let effects = instance.handle(&Batch { keys: keys(), inputs: vec![event(&data)] }).expect("handles");
        assert_eq!((effects.moments.len(), effects.failures.len()), expected, "{depth}");
    }
}

/// The arguments of one call have a place set aside. More than it holds is refused, and a fresh instance goes on.
#[test]
fn arguments_fit_up_to_a_bound() {
    let mut instance = start(&Arc::default());
    let long = format!(r#"{{"do":[{{"say":"{}"}}]}}"#, "x".repeat(1_000_000));
    let batch = |count| Batch {
        keys: vec![Keyed { name: "k", state: None }],
        inputs: (0..count).map(|_| event(&long)).collect(),
    };
    let effects = instance.handle(&batch(4)).expect("four megabytes fit");
    assert_eq!((effects.moments.len(), effects.failures.len()), (4, 0));
    let error = instance.handle(&batch(9)).expect_err("nine do not");
    println!("{error}");
    let mut instance = start(&Arc::default());
    assert!(instance.handle(&batch(1)).is_ok());
}

const TROUBLE: &str = r#"package main

import (
	"fmt"
	"os"
	"time"

	"carpe"
	"carpe/log"
)

type Trouble struct{}

type Count struct{ N int }

var kept [][]byte

func (rule Trouble) OnEvent(event *carpe.Event, count *Count, out *carpe.Output) error {
	do, err := event.Text("/do")
	if err != nil {
		return err
	}
	count.N++
	out.Moment("done").Why(fmt.Sprint(count.N))
	switch do {
	case "print":
		fmt.Println("printed", count.N)
		log.Info("logged %d", count.N)
	case "panic":
		var none *Count
		none.N++
	case "exhaust":
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "recurse":
		return rule.OnEvent(event, count, out)
	case "exit":
		os.Exit(3)
	case "ask":
		_, err := os.ReadFile("/etc/passwd")
		before := time.Now()
		out.Moment("done").Why(fmt.Sprint(err != nil, len(os.Environ()), len(os.Args), time.Since(before) < time.Second))
	}
	return nil
}

var plugin = carpe.Export(Trouble{}, carpe.Describe("trouble", "1.0.0", "Makes trouble.").On("do").Moment("done"))

func main() {}
"#;

/// A module of its own, built.
fn built(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let sdk = root().join("sdk/go");
    let manifest = format!(
        "module trouble\n\ngo 1.24\n\nrequire carpe v0.0.0\n\nreplace carpe => {:?}\n",
        sdk.display()
    );
    std::fs::write(folder.path().join("go.mod"), manifest).expect("written");
    std::fs::write(folder.path().join("rule.go"), source).expect("written");
    std::os::unix::fs::symlink(root().join(".venv"), folder.path().join(".venv")).expect("linked");
    let options = carpe_build::Options {
        out: Some(folder.path().join("trouble.wasm")),
        target_dir: Some(target().join("guests")),
        ..carpe_build::Options::default()
    };
    let path = carpe_build::build(folder.path(), &options).expect("the rule builds");
    std::fs::read(path).expect("readable")
}

#[test]
fn what_goes_wrong_in_a_rule_stays_in_its_instance() {
    let sandbox = Sandbox::new(sandbox()).expect("a sandbox");
    let component = sandbox.load(&built(TROUBLE)).expect("loads");
    let log = Arc::new(Lines::default());
    let start = || {
        let log = Arc::clone(&log) as Arc<dyn GuestLog>;
        component.instantiate("{}", &Limits::default(), log).expect("starts").0
    };
    let told = |instance: &mut Instance, deeds: &[&str]| {
        let texts: Vec<String> = deeds.iter().map(|deed| format!(r#"{{"do":"{deed}"}}"#)).collect();
        let inputs = texts.iter().map(|text| Input {
            key: 0,
            time: 1,
            now: 1,
            payload: Payload::Event { subscription: 0, attributes: Vec::new(), data: DataRef::Json(text) },
        });
        let batch = Batch { keys: vec![Keyed { name: "k", state: None }], inputs: inputs.collect() };
        instance.handle(&batch)
    };
    let mut instance = start();
    let effects = told(&mut instance, &["print", "panic", "print", "ask"]).expect("handles");
    let why: Vec<&str> = effects.moments.iter().map(|moment| moment.why.as_str()).collect();
    // Undone is what the one that panicked did.
    assert_eq!(why, ["1", "2", "3", "true 0 0 true"]);
    assert_eq!(effects.failures.len(), 1);
    assert_eq!(
        effects.failures[0].message,
        "panic: runtime error: invalid memory address or nil pointer dereference (rule.go:31)"
    );
    let lines = || std::mem::take(&mut *log.0.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(lines(), ["printed 1", "logged 1", "printed 2", "logged 2"]);
    for (deed, said) in [("exhaust", "out of memory"), ("recurse", ""), ("exit", "")] {
        let error = told(&mut start(), &[deed]).expect_err(deed);
        println!("{deed}: {error}");
        let lines = lines().join("\n");
        assert!(lines.contains(said), "{deed}: {lines}");
    }
}
