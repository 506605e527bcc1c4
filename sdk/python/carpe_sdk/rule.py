"""The idea that an author writes: a rule."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from .event import Event, Outcome, Timer
from .failure import Failure
from .output import Output

S = TypeVar("S")


class Rule(Generic[S]):
    """A rule: what should follow from what happened, given what is remembered.

    A subclass is a dataclass, whose fields are the operator's configuration, read from JSON (`{}` if there is none):
    a field that it doesn't have, or of another type, is refused. Put the unit into each name: `grace_seconds`. The
    type argument is what is remembered per key: a dataclass whose fields all have defaults, or `None`. What stands
    there for a key that nothing is known of is `State()`; a state equal to that is not kept.

    The methods must be pure: what they do may depend on their arguments alone. So the rule itself cannot be changed.
    """

    State: ClassVar[Any] = None
    """What is remembered per key: `Rule[Gauge]` sets it."""

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Rule and not isinstance(state := get_args(base)[0], TypeVar):
                cls.State = None if state is type(None) else state

    def __setattr__(self, name: str, value: object) -> None:
        if self.__dict__.get("_sealed"):
            raise AttributeError(f"a rule keeps nothing from one input to the next: put `{name}` into the state")
        object.__setattr__(self, name, value)

    def check(self) -> None:
        """Checks what types cannot: called once, when the plugin is loaded.

        Raise `Failure` with what is wrong with the configuration, naming the field. The plugin is then refused.
        """

    def on_event(self, event: Event, state: S, out: Output) -> None:
        """An event came that a subscription matched.

        Raise `Failure` with why it makes no sense. It goes to the dead letters, and has changed nothing.
        """
        raise NotImplementedError

    def on_timer(self, timer: Timer, state: S, out: Output) -> None:
        """A timer that the rule set for this key came due. It is no longer set."""

    def on_outcome(self, outcome: Outcome, state: S, out: Output) -> None:
        """It is known what became of an action that was emitted with a reference."""

    def migrate(self, from_version: int, key: str, state: bytes) -> S | None:
        """Brings one key's state from an earlier `About.state_version` to today's; `None` forgets it.

        Needs `migrates = true` under `[tool.carpe]` in pyproject.toml. Raise `Failure` with why it cannot: the state then
        stays as it was, and the key's inputs are set aside until a version comes that can.
        """
        raise Failure(f"this version of the rule cannot read states of version {from_version}")


def forget(state: object) -> None:
    """Makes a state what it was for a key that nothing is known of: so it is not kept, unless it is changed again."""
    if isinstance(state, (dict, list, set)):
        state.clear()
    elif dataclasses.is_dataclass(state) and not isinstance(state, type):
        initial = type(state)()
        for field in dataclasses.fields(state):
            setattr(state, field.name, getattr(initial, field.name))
    else:
        raise TypeError(f"a state of type {type(state).__name__} cannot be forgotten: it is no dataclass")
