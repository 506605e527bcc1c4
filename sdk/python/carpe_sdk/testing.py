"""Runs a rule natively, without WebAssembly, in an ordinary unit test.

The rule's code runs as it does under the host; around it stands a small host with a timeline that only the test
moves, and no sinks: the test answers actions itself. Each input is a batch of its own.

    def test_three_times_too_hot():
        test = RuleTest(Overheat, {"max_celsius": 80})
        for celsius in (81, 82):
            assert test.send(event("machine.temperature", subject="press-1", data={"celsius": celsius})).kinds == []
        happened = test.send(event("machine.temperature", subject="press-1", data={"celsius": 83}))
        assert happened.actions == ["notify.service"]

        broken = test.send(event("machine.temperature", subject="press-1", data={}))
        assert broken.failures == ["the event's data has nothing at `/celsius`, where a number should be"]
        assert test.state("press-1").length == 3

The timeline begins at `START`, unless another `start` is given, and moves to an event's time, if that is later, or to
where the test advances it. Timers that are due come first, in the host's order: by instant, then by name.

It evaluates no `filter`: it gives every event whose type and key fit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .contract import (
    INSTANT_LIMIT,
    Batch,
    Data,
    Data_Absent,
    Data_Binary,
    Data_Json,
    GivenEvent,
    GivenOutcome,
    GivenTimer,
    Input,
    Instant,
    Keyed,
    KeyedBy_Attribute,
    KeyedBy_Data,
    Payload,
    Payload_Event,
    Payload_Outcome,
    Payload_Timer,
    Status,
    Subscription,
)
from .contract import Moment as MomentEffect
from .output import _later
from .pointer import find
from .reading import parse, write
from .rule import Rule
from .runner import Runner

START: Instant = 1_767_225_600_000
"""Where the timeline begins: 2026-01-01T00:00:00Z."""

_MAX_TIMERS_AT_ONCE = 1_000
"""As many timers a key may have come due before one entry: as in the host, by default."""

_ABSENT = object()


@dataclass
class TestEvent:
    """An event for a test: see `event`."""

    __test__ = False  # pytest takes it for a test otherwise.

    attributes: dict[str, str]
    time: Instant | None
    given: Data


def event(
    kind: str,
    *,
    subject: str | None = None,
    time: Instant | None = None,
    data: Any = _ABSENT,
    json: str | None = None,
    binary: bytes | None = None,
    **attributes: str,
) -> TestEvent:
    """An event of this CloudEvents `type`.

    `data` is written as JSON; `json` is a text, which need not be valid; `binary` is no JSON: at most one of them.
    Without a time it happens where the timeline stands when it is sent.
    """
    attributes["type"] = kind
    if subject is not None:
        attributes["subject"] = subject
    if data is not _ABSENT:
        given: Data = Data_Json(write(data))
    elif json is not None:
        given = Data_Json(json)
    elif binary is not None:
        given = Data_Binary(binary)
    else:
        given = Data_Absent()
    return TestEvent(attributes, time, given)


@dataclass
class Action:
    """An action that was emitted."""

    key: str
    """The moment's key."""
    name: str
    """Its name."""
    reference: str | None
    """Its reference, if an outcome is wanted."""
    data: Any
    """What the other side needs to know."""


@dataclass
class Moment:
    """A moment that occurred."""

    key: str
    """The key of the input that made it occur."""
    kind: str
    """Its kind."""
    why: str
    """Why, for people."""
    subject: str | None
    """Whom it concerns, if not the key."""
    data: Any
    """The facts of it; `None` if there are none."""
    time: Instant
    """When it occurred: the input's time."""
    expires: Instant | None
    """Until when its actions may be taken."""
    actions: list[Action]
    """What to do about it."""


@dataclass
class Happened:
    """What came of what a test did, in order."""

    moments: list[Moment] = field(default_factory=list)
    """Moments that occurred."""
    failures: list[str] = field(default_factory=list)
    """Inputs that were set aside: what the rule said is wrong."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of the moments."""
        return [moment.kind for moment in self.moments]

    @property
    def actions(self) -> list[str]:
        """The names of all moments' actions."""
        return [action.name for action in self.all_actions]

    @property
    def all_actions(self) -> list[Action]:
        """All moments' actions."""
        return [action for moment in self.moments for action in moment.actions]

    def _add(self, later: Happened) -> None:
        self.moments += later.moments
        self.failures += later.failures


class RuleTest:
    """A rule under test, with the states and timers of its keys."""

    __test__ = False

    def __init__(self, rule: type[Rule[Any]], configuration: Any = None, *, start: Instant = START) -> None:
        """Loads the rule. Raises `Failure` with what the operator would be told is wrong with the configuration (`{}`
        if there is none)."""
        self._runner = Runner(rule, json.dumps({} if configuration is None else configuration))
        self._states: dict[str, bytes] = {}
        self._timers: dict[tuple[str, str], Instant] = {}
        self.now: Instant = start
        """Where the timeline stands."""

    def send(self, event: TestEvent) -> Happened:
        """Gives it an event, once for each subscription that matches: after the timers due by then.

        Asserts that a subscription matches, and, as for all that give it something, that the rule returned nothing
        that the host would refuse.
        """
        time = self.now if event.time is None else event.time
        assert 0 <= time < INSTANT_LIMIT, f"the host refuses an event of time {time}: it is not below 2^53"
        self.now = max(self.now, time)
        happened = self._fire_due(self.now)
        given = False
        for position, subscription in enumerate(self._runner.about._subscriptions):
            key = _key_of(subscription, event)
            if key is None or not _takes(subscription, event.attributes["type"]):
                continue
            given = True
            attributes = [event.attributes.get(name) for name in subscription.attributes]
            payload = Payload_Event(GivenEvent(position, attributes, event.given))
            happened._add(self._handle(key, time, payload))
        assert given, f"no subscription takes this event, or it has not the key that the subscription names: {event}"
        happened._add(self._fire_due(self.now))
        return happened

    def advance(self, by: timedelta) -> Happened:
        """Moves the timeline on, and gives the rule what comes due, each timer at its instant."""
        return self.advance_to(_later(self.now, by))

    def advance_to(self, instant: Instant) -> Happened:
        """Moves the timeline on to an instant; one already past changes nothing."""
        instant = min(instant, INSTANT_LIMIT - 1)
        happened = Happened()
        # The idle host appends a tick at each of these instants.
        while self._timers and (due := min(self._timers.values())) <= instant:
            self.now = max(self.now, due)
            happened._add(self._fire_due(self.now))
        self.now = max(self.now, instant)
        return happened

    def answer(self, action: Action, status: Status, answer: Any = _ABSENT, *, detail: str = "") -> Happened:
        """Says what became of an action that was emitted with a reference, and what the other side answered."""
        assert action.reference is not None, f"action `{action.name}` has no reference: no outcome of it is wanted"
        data: Data = Data_Absent() if answer is _ABSENT else Data_Json(write(answer))
        payload = Payload_Outcome(GivenOutcome(action.name, action.reference, status, data, detail))
        happened = self._fire_due(self.now)
        happened._add(self._handle(action.key, self.now, payload))
        happened._add(self._fire_due(self.now))
        return happened

    def state(self, key: str) -> Any:
        """What is remembered of a key; the initial state, if nothing is."""
        return self._runner.state(key, self._states.get(key))

    @property
    def keys(self) -> list[str]:
        """The keys that have a state: those whose state is the initial one have none."""
        return list(self._states)

    def timer(self, key: str, name: str) -> Instant | None:
        """When a timer of a key is due, if it is set."""
        return self._timers.get((key, name))

    def _fire_due(self, until: Instant) -> Happened:
        """Gives the rule all timers due by an instant."""
        happened = Happened()
        fired: dict[str, int] = {}
        while self._timers:
            due, name, key = min((due, name, key) for (key, name), due in self._timers.items())
            if due > until:
                break
            del self._timers[key, name]
            fired[key] = fired.get(key, 0) + 1
            assert fired[key] <= _MAX_TIMERS_AT_ONCE, (
                f"more than {_MAX_TIMERS_AT_ONCE} timers of key `{key}` came due at once, at last `{name}`: to repeat, "
                "count from `now`, not from the timer's time"
            )
            happened._add(self._handle(key, due, Payload_Timer(GivenTimer(name))))
        return happened

    def _handle(self, key: str, time: Instant, payload: Payload) -> Happened:
        batch = Batch([Keyed(key, self._states.get(key))], [Input(0, time, self.now, payload)])
        effects = self._runner.handle(batch)
        for change in effects.states:
            if change.state is None:
                self._states.pop(key, None)
            else:
                self._states[key] = change.state
        for setting in effects.timers:
            if setting.at is None:
                self._timers.pop((key, setting.name), None)
            elif isinstance(payload, Payload_Timer):
                # One set by a timer is due at least 1 ms after that one.
                self._timers[key, setting.name] = max(setting.at, time + 1)
            else:
                self._timers[key, setting.name] = setting.at
        for moment in effects.moments:
            self._check_declared(moment)
        return Happened(
            [_moment(key, time, moment) for moment in effects.moments],
            [failure.message for failure in effects.failures],
        )

    def _check_declared(self, moment: MomentEffect) -> None:
        about = self._runner.about
        assert moment.kind in about._moments, f'moment `{moment.kind}` is not declared: add `.moment("{moment.kind}")`'
        for action in moment.actions:
            assert action.name in about._actions, (
                f'action `{action.name}` is not declared: add `.action("{action.name}")`'
            )


def _moment(key: str, time: Instant, moment: MomentEffect) -> Moment:
    actions = [Action(key, action.name, action.reference, parse(action.data)) for action in moment.actions]
    data = None if moment.data is None else parse(moment.data)
    return Moment(key, moment.kind, moment.why, moment.subject, data, time, moment.expires, actions)


def _takes(subscription: Subscription, kind: str) -> bool:
    wanted = subscription.event_type
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted


def _key_of(subscription: Subscription, event: TestEvent) -> str | None:
    keyed_by = subscription.keyed_by
    if isinstance(keyed_by, KeyedBy_Attribute):
        return event.attributes.get(keyed_by.value)
    if not isinstance(keyed_by, KeyedBy_Data):
        return ""
    if not isinstance(event.given, Data_Json):
        return None
    try:
        found = find(parse(event.given.value), keyed_by.value)
    except ValueError:
        return None
    # A string, or a whole number's digits.
    if type(found) is str:
        return found
    if type(found) is float and found.is_integer():
        return str(int(found))
    return str(found) if type(found) is int else None
