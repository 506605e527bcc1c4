"""Runs a rule over a batch: the same code under the host and in a native test."""

from __future__ import annotations

from typing import Any

from .about import About
from .contract import Batch, Effects, Input, Payload_Event, Payload_Outcome, Payload_Timer, StateChange
from .event import Event, Outcome, Timer
from .export import described
from .failure import Failure, describe
from .output import Output
from .reading import parse, read_text, reader, write
from .rule import Rule


class Runner:
    """A rule with its configuration."""

    def __init__(self, rule: type[Rule[Any]], configuration: str) -> None:
        """Raises `Failure` with what is wrong with the configuration."""
        self.about: About = described(rule)
        try:
            self._rule: Rule[Any] = read_text(reader(rule, strict=True), configuration, "configuration")
            self._rule.check()
        except Failure as error:
            says = error.message
            raise Failure(says if says.startswith("configuration") else f"configuration: {says}") from None
        except Exception as error:
            raise Failure(f"configuration: {describe(error)}") from None
        object.__setattr__(self._rule, "_sealed", True)
        self._subscriptions = self.about._subscriptions
        self._state = rule.State
        self._read_state = reader(rule.State)
        # What is equal to it is not kept.
        self._initial = _written(self._new_state(), "the initial state")

    def handle(self, batch: Batch) -> Effects:
        """Handles the inputs in order. What is wrong with one of them becomes its failure, and undoes it alone.

        A state is written after each input and read before each: so it makes no difference how inputs are cut into
        batches.
        """
        keys = batch.keys
        states = [keyed.state for keyed in keys]
        out = Output()
        for cause, given in enumerate(batch.inputs):
            key = given.key
            out._begin(cause, given.now)
            try:
                states[key] = self._handle_input(keys[key].name, given, states[key], out)
            except BaseException as error:
                out._undo(describe(error))
        changes = out._effects.states
        for at, (keyed, state) in enumerate(zip(keys, states)):
            if state != keyed.state:
                changes.append(StateChange(at, state))
        return out._effects

    def migrate(self, from_version: int, key: str, state: bytes) -> bytes | None:
        """Brings a state of an earlier version along; `None`: it is forgotten, or the initial one. Raises
        `Failure`."""
        try:
            migrated = self._rule.migrate(from_version, key, state)
            return None if migrated is None else self._kept(migrated, key)
        except BaseException as error:
            raise Failure(describe(error)) from None

    def state(self, key: str, kept: bytes | None) -> Any:
        """A key's state, from how it is kept."""
        if kept is None:
            return self._new_state()
        try:
            return read_text(self._read_state, kept.decode(), f"the state of key `{key}`")
        except (Failure, UnicodeDecodeError) as error:
            raise Failure(f"{error} (if its format changed, let `state_version` grow and migrate it)") from None

    def _new_state(self) -> Any:
        return None if self._state is None else self._state()

    def _kept(self, state: Any, key: str) -> bytes | None:
        kept = _written(state, f"the state of key `{key}`")
        return None if kept == self._initial else kept

    def _handle_input(self, key: str, given: Input, kept: bytes | None, out: Output) -> bytes | None:
        state = self.state(key, kept)
        payload = given.payload
        if isinstance(payload, Payload_Event):
            event = payload.value
            if event.subscription >= len(self._subscriptions):
                raise Failure(f"the rule has no subscription {event.subscription}")
            subscription = self._subscriptions[event.subscription]
            self._rule.on_event(Event(key, given.time, given.now, event, subscription), state, out)
        elif isinstance(payload, Payload_Timer):
            self._rule.on_timer(Timer(key, given.time, given.now, payload.value), state, out)
        elif isinstance(payload, Payload_Outcome):
            self._rule.on_outcome(Outcome(key, given.time, given.now, payload.value), state, out)
        return self._kept(state, key)


def _written(state: Any, whose: str) -> bytes:
    try:
        return write(state).encode()
    except (ValueError, TypeError) as error:
        raise Failure(f"{whose} cannot be written as JSON: {error}") from None


def check_state(state: Any) -> None:
    """Raises `TypeError` or `Failure` if a type cannot be a rule's state."""
    read = reader(state)
    if state is None:
        return
    try:
        initial = state()
    except TypeError as error:
        raise TypeError(f"{state.__name__} cannot be a state, all of its fields need a default: {error}") from None
    if isinstance(initial, (int, float, str, bytes, tuple, frozenset)):
        raise TypeError(f"{state!r} cannot be a state, since it cannot be changed: use a dataclass")
    read(parse(write(initial)))
