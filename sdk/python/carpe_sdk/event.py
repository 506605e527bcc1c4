"""What a rule is given: events, timers and outcomes."""

from __future__ import annotations

import builtins
from typing import Any, TypeVar, overload

from .contract import (
    Data,
    Data_Binary,
    Data_Json,
    GivenEvent,
    GivenOutcome,
    GivenTimer,
    Instant,
    Status,
    Subscription,
)
from .failure import Failure
from .pointer import NOTHING, find
from .reading import Mismatch, parse, reader, shown

T = TypeVar("T")


class _Input:
    """What all inputs have."""

    __slots__ = ("key", "now", "time")

    key: str
    """What it is about, e.g. the machine's id: see the subscription's key."""
    time: Instant
    """When it happened. An event's may be earlier than that of an event before it; a timer's is what it was set
    to."""
    now: Instant
    """Where the timeline stands: never earlier than for an input before it. Timers and expiry go by it."""

    def __init__(self, key: str, time: Instant, now: Instant) -> None:
        self.key = key
        self.time = time
        self.now = now


class Event(_Input):
    """Something that happened, about one key."""

    __slots__ = ("_given", "_parsed", "_subscription")

    def __init__(self, key: str, time: Instant, now: Instant, given: GivenEvent, subscription: Subscription) -> None:
        self.key = key
        self.time = time
        self.now = now
        self._given = given
        self._subscription = subscription
        self._parsed: Any = NOTHING

    @property
    def kind(self) -> str:
        """Its CloudEvents `type`."""
        if self._subscription.event_type.endswith("*"):
            return self.attribute("type")  # A pattern asks for it.
        return self._subscription.event_type

    @property
    def subscription(self) -> int:
        """Which subscription matched, counted from 0 in the order of the `on`s."""
        return self._given.subscription

    def attribute(self, name: str) -> str:
        """The value of a CloudEvents attribute that the subscription asks for.

        Raises `Failure` if the event has no such attribute, or the subscription doesn't ask for it.
        """
        try:
            value = self._given.attributes[self._subscription.attributes.index(name)]
        except ValueError:
            raise Failure(
                f'attribute `{name}` is not asked for: add `.attribute("{name}")` to the rule\'s description'
            ) from None
        if value is None:
            raise Failure(f"the event has no attribute `{name}`")
        return value

    @overload
    def data(self) -> Any: ...

    @overload
    def data(self, of: type[T]) -> T: ...

    def data(self, of: Any = Any) -> Any:
        """Its JSON data, as a type: e.g. a dataclass, of which fields with a default may be absent. Without one: as
        Python has it.

        It is parsed once; do not change it. Raises `Failure` if there is no JSON data, or it is not of that type:
        that names what is wrong and where.
        """
        value = self._document()
        if of is Any:
            return value
        try:
            return reader(of)(value)
        except Mismatch as error:
            raise Failure(f"the event's data: {error}" if error.path else f"the event's data {error}") from None

    def number(self, pointer: str) -> float:
        """A number in its JSON data, at a JSON Pointer, e.g. `/engine/celsius`. Always finite.

        Raises `Failure` if there is no JSON data, nothing at the pointer, or no number. So do its likes.
        """
        return self._at(pointer, float, "a number")

    def integer(self, pointer: str) -> int:
        """A whole number in its JSON data."""
        value: int = self._at(pointer, int, "a whole number")
        if not -(1 << 63) <= value < 1 << 63:
            raise self._mismatch(value, pointer, "a whole number of 64 bits")
        return value

    def string(self, pointer: str) -> str:
        """A string in its JSON data."""
        return self._at(pointer, str, "a string")

    def value(self, pointer: str) -> Any:
        """Whatever stands at a JSON Pointer; `None` if nothing does, or null. Raises `Failure` if there is no JSON
        data."""
        found = find(self._document(), pointer)
        return None if found is NOTHING else found

    @property
    def binary(self) -> bytes | None:
        """Its data, if there is any and it is not JSON."""
        data = self._given.data
        return data.value if isinstance(data, Data_Binary) else None

    def _document(self) -> Any:
        if self._parsed is NOTHING:
            self._parsed = _parse(self._given.data, "the event's data")
        return self._parsed

    def _at(self, pointer: str, of: type[T], wanted: str) -> T:
        found = find(self._document(), pointer)
        if found is NOTHING:
            raise Failure(f"the event's data has nothing at `{pointer}`, where {wanted} should be")
        try:
            value: T = reader(of)(found)
        except Mismatch:
            raise self._mismatch(found, pointer, wanted) from None
        return value

    @staticmethod
    def _mismatch(found: Any, pointer: str, wanted: str) -> Failure:
        return Failure(f"the event's data has {shown(found)} at `{pointer}`, where {wanted} should be")

    # The last: from here on `bool` is this one.
    def bool(self, pointer: str) -> builtins.bool:
        """A truth value in its JSON data."""
        return self._at(pointer, builtins.bool, "true or false")


class Timer(_Input):
    """A timer that came due. To repeat, count from `now`, not from `time`: that skips what was missed."""

    __slots__ = ("name",)

    name: str
    """As the rule named it."""

    def __init__(self, key: str, time: Instant, now: Instant, given: GivenTimer) -> None:
        super().__init__(key, time, now)
        self.name = given.name


class Outcome(_Input):
    """What became of an action."""

    __slots__ = ("_answer", "action", "detail", "reference", "status")

    action: str
    """The action's name."""
    reference: str
    """The reference that the rule gave the action."""
    status: Status
    """What became of it."""
    detail: str
    """For people: why it was not taken. May be empty."""

    def __init__(self, key: str, time: Instant, now: Instant, given: GivenOutcome) -> None:
        super().__init__(key, time, now)
        self.action = given.action
        self.reference = given.reference
        self.status = Status[given.status.name]
        self.detail = given.detail
        self._answer = given.answer

    @overload
    def answer(self) -> Any: ...

    @overload
    def answer(self, of: type[T]) -> T: ...

    def answer(self, of: Any = Any) -> Any:
        """What the other side answered, as a type: e.g. the body of a webhook's response.

        Raises `Failure` if it answered nothing, or something else.
        """
        try:
            return reader(of)(_parse(self._answer, "the answer"))
        except Mismatch as error:
            raise Failure(f"the answer: {error}" if error.path else f"the answer {error}") from None


def _parse(data: Data, whose: str) -> Any:
    if isinstance(data, Data_Json):
        try:
            return parse(data.value)
        except ValueError as error:
            raise Failure(f"{whose} is not valid JSON: {error}") from None
    raise Failure(f"{whose} is not JSON" if isinstance(data, Data_Binary) else f"{whose} is absent")
