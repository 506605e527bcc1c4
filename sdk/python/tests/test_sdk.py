"""The SDK's promises, by rules made for it."""

from __future__ import annotations

import enum
import json
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Optional

import pytest

from carpe_sdk import (
    Event,
    Failure,
    Outcome,
    Output,
    Rule,
    Status,
    Streak,
    Timer,
    export_rule,
    forget,
    log,
    on,
)
from carpe_sdk.contract import Batch, Data_Absent, Data_Json, GivenEvent, Input, Keyed, Payload_Event
from carpe_sdk.reading import Mismatch, parse, reader, write
from carpe_sdk.pointer import NOTHING, find
from carpe_sdk.runner import Runner
from carpe_sdk.testing import START, RuleTest, event


@dataclass
class Overheat(Rule[Streak]):
    max_celsius: float

    def on_event(self, event: Event, state: Streak, out: Output) -> None:
        if state.of(event.number("/celsius") > self.max_celsius) == 3:
            out.moment("machine.overheating").why("too hot three times in a row").action("notify.service", {})


export_rule(Overheat, on("machine.temperature").moment("machine.overheating").action("notify.service"))


@dataclass
class Memory:
    count: int = 0
    notes: list[str] = field(default_factory=list)
    free: Any = None


@dataclass
class Parrot(Rule[Memory]):
    """Does what the event says."""

    greeting: str = "hello"
    limit: int = 10

    def check(self) -> None:
        if self.limit < 0:
            raise Failure("`limit` is below 0")
        if self.limit == 13:
            raise ValueError("no luck")

    def on_event(self, event: Event, state: Memory, out: Output) -> None:
        state.count += 1
        do = event.string("/do")
        state.notes.append(do)
        if do == "say":
            out.moment("said").why(self.greeting).subject("who").data(event.value("/data")).expires_in(timedelta(seconds=1))
        elif do == "act":
            out.moment("acted").action("go", {"n": state.count}, reference=event.string("/reference")).action("tell", None)
        elif do == "timer":
            out.timer(event.string("/name"), after=timedelta(milliseconds=event.integer("/in")))
        elif do == "cancel":
            out.cancel(event.string("/name"))
        elif do == "forget":
            forget(state)
        elif do == "nan":
            state.free = float("nan")
        elif do == "surrogate":
            out.moment("said").why("\ud800")
        elif do == "keep":
            self.limit = 3
        elif do == "exit":
            sys.exit(3)
        elif do == "divide":
            out.moment("said")
            out.timer("t", 5)
            self.divide(state)
        elif do == "fail":
            out.moment("said").why("kept")
            out.fail("half of it")
        elif do == "undeclared":
            out.moment("unheard of")
        else:
            raise Failure(f"what is `{do}`?")

    def divide(self, state: Memory) -> None:
        state.free = 1 / 0

    def on_timer(self, timer: Timer, state: Memory, out: Output) -> None:
        out.moment("said").why(f"timer {timer.name}").data([timer.time - START, timer.now - START])

    def on_outcome(self, outcome: Outcome, state: Memory, out: Output) -> None:
        state.free = outcome.answer(dict[str, int])
        out.moment("said").why(f"{outcome.action} {outcome.reference} {outcome.status.value} {outcome.detail}")

    def migrate(self, from_version: int, key: str, state: bytes) -> Memory | None:
        count = int(state)
        return Memory(count) if count >= 0 else None


export_rule(
    Parrot,
    on("parrot.*").attribute("id").moment("said").moment("acted").action("go").action("tell").state_version(2),
)


def do(what: str, **data: Any) -> Any:
    return event("parrot.told", subject="k", data={"do": what, **data})


def test_hello() -> None:
    test = RuleTest(Overheat, {"max_celsius": 80})

    def send(data: Any) -> Any:
        return test.send(event("machine.temperature", subject="press-1", data=data))

    assert [send({"celsius": celsius}).kinds for celsius in (81, 82, 83, 84)] == [[], [], ["machine.overheating"], []]
    assert send({}).failures == ["the event's data has nothing at `/celsius`, where a number should be"]
    assert send({"celsius": "81"}).failures == ['the event\'s data has "81" at `/celsius`, where a number should be']
    assert send({"celsius": True}).failures == ["the event's data has true at `/celsius`, where a number should be"]
    assert test.state("press-1").length == 4
    # As other languages' SDKs keep it.
    assert test._states == {"press-1": b"4"}
    send({"celsius": 20})
    assert test.keys == []


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ({}, "configuration: `max_celsius` is missing"),
        ({"max_celsius": "80"}, 'configuration: `max_celsius` is "80": it must be a number'),
        ({"max_celsius": 80, "max": 1}, "configuration: `max` is unknown: there is `max_celsius`"),
        ([], "configuration is []: it must be an object"),
        ({"max_celsius": None}, "configuration: `max_celsius` is null: it must be a number"),
    ],
)
def test_configuration_errors_name_the_field(configuration: Any, says: str) -> None:
    with pytest.raises(Failure) as failure:
        RuleTest(Overheat, configuration)
    assert failure.value.message == says


def test_check_refuses() -> None:
    with pytest.raises(Failure, match="^configuration: `limit` is below 0$"):
        RuleTest(Parrot, {"limit": -1})
    with pytest.raises(Failure, match=r"^configuration: ValueError: no luck \(test_sdk.py, line \d+, in check\)$"):
        RuleTest(Parrot, {"limit": 13})
    with pytest.raises(Failure, match="^configuration is not valid JSON: "):
        Runner(Parrot, "{")


def test_moments() -> None:
    test = RuleTest(Parrot, {"greeting": "grüß dich"})
    (moment,) = test.send(do("say", data={"a": [1, None]})).moments
    assert (moment.kind, moment.why, moment.subject) == ("said", "grüß dich", "who")
    assert (moment.data, moment.expires, moment.time, moment.key) == ({"a": [1, None]}, START + 1000, START, "k")


def test_timers() -> None:
    test = RuleTest(Parrot)
    test.send(do("timer", name="b", **{"in": 10}))
    test.send(do("timer", name="a", **{"in": 10}))
    test.send(do("timer", name="c", **{"in": 5}))
    test.send(do("cancel", name="c"))
    assert (test.timer("k", "a"), test.timer("k", "c")) == (START + 10, None)
    happened = test.advance(timedelta(seconds=1))
    assert [(moment.why, moment.data) for moment in happened.moments] == [("timer a", [10, 10]), ("timer b", [10, 10])]
    assert test.now == START + 1000
    # Already past: at once. Time that an event brings fires what is due before it.
    assert test.send(do("timer", name="now", **{"in": -5})).moments[0].data == [995, 1000]
    test.send(do("timer", name="d", **{"in": 10}))
    happened = test.send(event("parrot.told", subject="other", time=START + 5000, data={"do": "say"}))
    assert [moment.why for moment in happened.moments] == ["timer d", "hello"]


def test_outcomes() -> None:
    test = RuleTest(Parrot)
    happened = test.send(do("act", reference="r1"))
    assert happened.actions == ["go", "tell"]
    go, tell = happened.all_actions
    assert (go.data, go.reference, tell.data, tell.reference) == ({"n": 1}, "r1", None, None)
    assert test.answer(go, Status.REJECTED, {"price": 3}, detail="no").moments[0].why == "go r1 rejected no"
    assert test.state("k").free == {"price": 3}
    assert test.answer(go, Status.FAILED).failures == ["the answer is absent"]
    assert test.answer(go, Status.FAILED, {"price": "3"}).failures == [
        'the answer: `price` is "3": it must be a whole number'
    ]
    with pytest.raises(AssertionError, match="no reference"):
        test.answer(tell, Status.DELIVERED)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("x", r"what is `x`\?"),
        ("divide", r"ZeroDivisionError: division by zero \(test_sdk.py, line \d+, in divide\)"),
        ("nan", "the state of key `k` cannot be written as JSON: .*"),
        ("surrogate", r"ValueError: `why` is no Unicode: .* \(test_sdk.py, line \d+, in on_event\)"),
        ("keep", "AttributeError: a rule keeps nothing .*: put `limit` into the state .*"),
        ("exit", "SystemExit: 3 .*"),
    ],
)
def test_a_failure_undoes_its_input_alone(what: str, says: str) -> None:
    test = RuleTest(Parrot)
    test.send(do("say"))
    before = test._states["k"]
    happened = test.send(do(what))
    assert happened.moments == []
    assert len(happened.failures) == 1
    import re

    assert re.fullmatch(says, happened.failures[0]), happened.failures
    assert (test._states["k"], test._timers) == (before, {})


def test_a_part_that_makes_sense_counts() -> None:
    test = RuleTest(Parrot)
    happened = test.send(do("fail"))
    assert (happened.kinds, happened.failures, test.state("k").count) == (["said"], ["half of it"], 1)


def test_the_host_would_refuse_what_is_not_declared() -> None:
    with pytest.raises(AssertionError, match="add `.moment"):
        RuleTest(Parrot).send(do("undeclared"))


def test_states_are_kept_as_json_and_forgotten_when_initial() -> None:
    test = RuleTest(Parrot)
    test.send(do("say"))
    assert test._states == {"k": b'{"count":1,"notes":["say"],"free":null}'}
    # A field that is missing gets its default; one that is gone is ignored.
    test._states["k"] = b'{"count":7,"old":1}'
    assert test.state("k") == Memory(7)
    test.send(do("forget"))
    assert test.keys == []
    test._states["k"] = b"{"
    (says,) = test.send(do("say")).failures
    assert says.startswith("the state of key `k` is not valid JSON") and says.endswith("migrate it)")
    test._states["k"] = b'{"count":"x"}'
    assert "`count` is \"x\"" in test.send(do("say")).failures[0]


def test_migration() -> None:
    runner = Runner(Parrot, "{}")
    assert runner.migrate(1, "k", b"5") == b'{"count":5,"notes":[],"free":null}'
    assert runner.migrate(1, "k", b"0") is None
    assert runner.migrate(1, "k", b"-1") is None
    with pytest.raises(Failure, match="ValueError: invalid literal"):
        runner.migrate(1, "k", b"x")
    with pytest.raises(Failure, match="^this version of the rule cannot read states of version 1$"):
        Runner(Overheat, '{"max_celsius": 1}').migrate(1, "k", b"5")


def test_cuts_into_batches_make_no_difference() -> None:
    inputs = []
    for at, (key, what) in enumerate([(0, "say"), (1, "act"), (0, "divide"), (0, "nan"), (1, "forget"), (0, "say")]):
        data = Data_Json(json.dumps({"do": what, "reference": "r"}))
        inputs.append(Input(key, at, at, Payload_Event(GivenEvent(0, ["parrot.told", None], data))))
    runner = Runner(Parrot, "{}")
    whole = runner.handle(Batch([Keyed("a", None), Keyed("b", b'{"count":2}')], inputs))
    states: list[bytes | None] = [None, b'{"count":2}']
    moments, failures = [], []
    for cause, given in enumerate(inputs):
        key = given.key
        effects = runner.handle(
            Batch([Keyed("ab"[key], states[key])], [Input(0, given.time, given.now, given.payload)])
        )
        for change in effects.states:
            states[key] = change.state
        moments += [(cause, moment.kind, moment.actions) for moment in effects.moments]
        failures += [(cause, failure.message) for failure in effects.failures]
    assert [(moment.cause, moment.kind, moment.actions) for moment in whole.moments] == moments
    assert [(failure.input, failure.message.replace("ab", "a")) for failure in whole.failures] == failures
    assert {change.key: change.state for change in whole.states} == dict(enumerate(states))
    assert len(failures) == 2 and states[1] is None


def test_what_the_host_gives_is_not_trusted() -> None:
    runner = Runner(Parrot, "{}")
    payload = Payload_Event(GivenEvent(7, [], Data_Absent()))
    effects = runner.handle(Batch([Keyed("k", None)], [Input(0, 0, 0, payload), Input(9, 0, 0, payload)]))
    assert [failure.input for failure in effects.failures] == [0, 1]


@dataclass
class Plain(Rule[None]):
    def on_event(self, event: Event, state: None, out: Output) -> None:
        out.moment("m").data(
            {
                "kind": event.kind,
                "subscription": event.subscription,
                "key": event.key,
                "binary": None if event.binary is None else event.binary.hex(),
            }
        )


export_rule(Plain, on("a").moment("m").on("b*").keyed_by_data("/id").on("c").keyed_by_nothing())


def test_keys_and_subscriptions() -> None:
    test = RuleTest(Plain)

    def data(sent: Any) -> Any:
        return test.send(sent).moments[0].data

    assert data(event("a", subject="s", binary=b"\x01")) == {"kind": "a", "subscription": 0, "key": "s", "binary": "01"}
    for given, key in [("x", "x"), (1, "1"), (1.0, "1"), (-5, "-5"), (1e20, "1" + "0" * 20)]:
        assert data(event("bc", data={"id": given}))["key"] == key
    assert data(event("c"))["key"] == ""
    assert test.keys == []
    for bad in (event("a"), event("x", subject="s"), event("b", data={"id": 1.5}), event("b", json="{")):
        with pytest.raises(AssertionError, match="no subscription takes"):
            test.send(bad)


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Inner:
    x: tuple[int, float]
    colour: Colour = Colour.RED
    mode: Literal["on", 1] = "on"
    maybe: Optional[int] = None
    table: dict[int, set[str]] = field(default_factory=dict)
    any: Any = None


def test_events_are_read_by_type() -> None:
    read = reader(Inner)
    value = read(parse('{"x":[1,2],"table":{"3":["b","a"]},"any":{"deep":[true]},"more":1}'))
    assert value == Inner((1, 2.0), table={3: {"a", "b"}}, any={"deep": [True]})
    text = write(value)
    assert text == (
        '{"x":[1,2.0],"colour":"red","mode":"on","maybe":null,"table":{"3":["a","b"]},"any":{"deep":[true]}}'
    )
    assert read(parse(text)) == value
    for text, says in [
        ('{"x":[1]}', "`x` is [1]: it must be a list of 2"),
        ('{"x":[1,"2"]}', '`x[1]` is "2": it must be a number'),
        ('{"x":[1,1e999]}', "`x[1]` is a number that is not finite: it must be a number"),
        ('{"x":[1,2],"colour":"blue"}', '`colour` is "blue": it must be one of "red"'),
        ('{"x":[1,2],"mode":true}', '`mode` is true: it must be one of "on", 1'),
        ('{"x":[1,2],"maybe":1.0}', "`maybe` is 1.0: it must be a whole number"),
        ('{"x":[1,2],"table":{"a":[]}}', "`table.a` must have a whole number for its name"),
        ("{}", "`x` is missing"),
        ("[]", "is []: it must be an object"),
    ]:
        with pytest.raises(Mismatch) as mismatch:
            read(parse(text))
        assert str(mismatch.value) == says


def test_absurd_json_is_an_error_and_no_crash() -> None:
    for text in ["", "{", "NaN", "[Infinity]", "1 2", "[" * 128 + "]" * 128, "[" * 100_000, "9" * 5_000, '{"a":nul}', '"\x01"']:
        with pytest.raises(ValueError):
            parse(text)
    loop: list[Any] = []
    loop.append(loop)
    for value in [float("inf"), b"x", object(), "\udc00", {"\udc00": 1}, loop, {(1, 2): 3}]:
        with pytest.raises((ValueError, TypeError)):
            write(value)
    deepest = "[" * 127 + "]" * 127
    assert write(parse(deepest)) == deepest
    brackets = json.dumps([{"[{\"[": "]"}] * 200)
    assert json.loads(write(parse(brackets))) == json.loads(brackets)
    with pytest.raises(ValueError, match="nested too deep"):
        write([parse(deepest)])
    big = 1 << 100
    assert parse(write(big)) == big


def test_pointers() -> None:
    document = parse(' {"a":{"b":[1,{"c":"x"},3.5]},"a/b":2,"~":null,"":0,"t":true} ')
    for pointer, found in [
        ("", document), ("/a/b/0", 1), ("/a/b/1/c", "x"), ("/a/b/01", NOTHING), ("/a~1b", 2), ("/~0", None), ("/", 0),
        ("/t/x", NOTHING), ("a", NOTHING), ("/a/b/3", NOTHING), ("/a/b/-1", NOTHING), ("/a/b/²", NOTHING), ("/a/b/", NOTHING),
    ]:  # fmt: skip
        assert find(document, pointer) is found or find(document, pointer) == found, pointer


def test_event_values() -> None:
    @dataclass
    class Reading:
        a: int

    seen: list[Any] = []

    @dataclass
    class Look(Rule[None]):
        def on_event(self, event: Event, state: None, out: Output) -> None:
            for look in (
                lambda: event.integer("/a"),
                lambda: event.bool("/b"),
                lambda: event.value("/zz"),
                lambda: event.data(Reading),
                lambda: event.data()["b"],
                lambda: event.attribute("id"),
                lambda: event.attribute("source"),
                lambda: event.integer("/big"),
            ):
                try:
                    seen.append(look())
                except Failure as failure:
                    seen.append(failure.message)

    export_rule(Look, on("look").attribute("id"))
    RuleTest(Look).send(event("look", subject="k", data={"a": 1, "b": False, "big": 1 << 64}))
    assert seen == [
        1,
        False,
        None,
        Reading(1),
        False,
        "the event has no attribute `id`",
        'attribute `source` is not asked for: add `.attribute("source")` to the rule\'s description',
        "the event's data has 18446744073709551616 at `/big`, where a whole number of 64 bits should be",
    ]


def test_what_is_no_rule_is_refused_when_it_is_exported() -> None:
    class NoDataclass(Rule[None]):
        def on_event(self, event: Event, state: None, out: Output) -> None: ...

    @dataclass
    class Required:
        x: int

    @dataclass
    class NoDefault(Rule[Required]):
        def on_event(self, event: Event, state: Required, out: Output) -> None: ...

    @dataclass
    class NoState(Rule[int]):
        def on_event(self, event: Event, state: int, out: Output) -> None: ...

    @dataclass
    class NoHandler(Rule[None]): ...

    @dataclass
    class OddSetting(Rule[None]):
        when: timedelta

        def on_event(self, event: Event, state: None, out: Output) -> None: ...

    for rule, says in [
        (NoDataclass, "@dataclass"),
        (NoDefault, "need a default"),
        (NoState, "cannot be changed"),
        (NoHandler, "no `on_event`"),
        (OddSetting, "cannot be read from JSON"),
    ]:
        with pytest.raises(TypeError, match=says):
            export_rule(rule, on("x"))


def test_log_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.info("ü")
    log.warn("careful")
    assert capsys.readouterr().err == "Info: ü\nWarn: careful\n"
