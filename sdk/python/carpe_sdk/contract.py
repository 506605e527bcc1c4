"""What passes between the host and a rule: `carpe:rule/types` (`wit/types.wit`).

Under the host these are the types that componentize-py generates, so that nothing has to be converted; natively they
are ours, of the same names and fields. The generated ones need a newer Python than the SDK does.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from typing import TypeAlias

Instant: TypeAlias = int
"""Milliseconds since the Unix epoch, below `INSTANT_LIMIT`."""

INSTANT_LIMIT: Instant = 1 << 53
"""Instants stay below 2^53."""


class Status(enum.Enum):
    """What became of an action."""

    DELIVERED = "delivered"
    """The other side took it."""
    REJECTED = "rejected"
    """The other side refused it for good."""
    WITHHELD = "withheld"
    """It never went out: a guardrail of the operator's stopped it, or no route takes it."""
    FAILED = "failed"
    """The host gave up, or the moment expired after a try whose result is not known: it may or may not have been
    taken."""
    EXPIRED = "expired"
    """The moment expired before the first try: it was not taken."""


if sys.platform == "wasi":
    from wit_world.imports.types import (
        Action,
        Batch,
        Data,
        Data_Absent,
        Data_Binary,
        Data_Json,
        Description,
        Effects,
        Input,
        KeyedBy,
        KeyedBy_Attribute,
        KeyedBy_Data,
        KeyedBy_Nothing,
        Keyed,
        Moment,
        Payload,
        Payload_Event,
        Payload_Outcome,
        Payload_Timer,
        StateChange,
        Subscription,
        TimerChange,
    )
    from wit_world.imports.types import Event as GivenEvent
    from wit_world.imports.types import Failure as FailedInput
    from wit_world.imports.types import Outcome as GivenOutcome
    from wit_world.imports.types import Timer as GivenTimer
else:

    @dataclass
    class KeyedBy_Attribute:
        value: str

    @dataclass
    class KeyedBy_Data:
        value: str

    @dataclass
    class KeyedBy_Nothing:
        pass

    KeyedBy: TypeAlias = KeyedBy_Attribute | KeyedBy_Data | KeyedBy_Nothing

    @dataclass
    class Subscription:
        event_type: str
        filter: str | None
        keyed_by: KeyedBy
        attributes: list[str]

    @dataclass
    class Description:
        name: str
        version: str
        summary: str
        settings: str | None
        subscriptions: list[Subscription]
        moments: list[str]
        actions: list[str]
        state_version: int

    @dataclass
    class Keyed:
        name: str
        state: bytes | None

    @dataclass
    class Data_Absent:
        pass

    @dataclass
    class Data_Json:
        value: str

    @dataclass
    class Data_Binary:
        value: bytes

    Data: TypeAlias = Data_Absent | Data_Json | Data_Binary

    @dataclass
    class GivenEvent:
        subscription: int
        attributes: list[str | None]
        data: Data

    @dataclass
    class GivenTimer:
        name: str

    @dataclass
    class GivenOutcome:
        action: str
        reference: str
        status: enum.Enum
        answer: Data
        detail: str

    @dataclass
    class Payload_Event:
        value: GivenEvent

    @dataclass
    class Payload_Timer:
        value: GivenTimer

    @dataclass
    class Payload_Outcome:
        value: GivenOutcome

    Payload: TypeAlias = Payload_Event | Payload_Timer | Payload_Outcome

    @dataclass
    class Input:
        key: int
        time: int
        now: int
        payload: Payload

    @dataclass
    class Batch:
        keys: list[Keyed]
        inputs: list[Input]

    @dataclass
    class StateChange:
        key: int
        state: bytes | None

    @dataclass
    class TimerChange:
        cause: int
        name: str
        at: int | None

    @dataclass
    class Action:
        name: str
        reference: str | None
        data: str

    @dataclass
    class Moment:
        cause: int
        kind: str
        why: str
        subject: str | None
        data: str | None
        expires: int | None
        actions: list[Action]

    @dataclass
    class FailedInput:
        input: int
        message: str

    @dataclass
    class Effects:
        states: list[StateChange]
        timers: list[TimerChange]
        moments: list[Moment]
        failures: list[FailedInput]
