"""The rule of `tests/conformance`, with the SDK for Python."""

import re
from dataclasses import dataclass
from typing import Any

from carpe_sdk import Event, Failure, Outcome, Output, Rule, Timer, export_rule, forget, on


@dataclass
class Memory:
    """How many events the key has had, and what it was told to remember."""

    count: int = 0
    value: Any = None


@dataclass
class Conform(Rule[Memory]):
    greeting: str
    limit: int = 1000

    def check(self) -> None:
        if not self.greeting:
            raise Failure("`greeting` is empty")
        if self.limit < 0:
            raise Failure(f"`limit` is {self.limit}: it must be a whole number from 0 on")

    def on_event(self, event: Event, state: Memory, out: Output) -> None:
        state.count += 1
        if state.count > self.limit:
            raise Failure(f"more than {self.limit} events")
        told = deeds(event)
        for deed in told:
            self.do(deed, event, state, out)
        if any(deed.get("forget") is True for deed in told):
            forget(state)

    def do(self, deed: dict[str, Any], event: Event, state: Memory, out: Output) -> None:
        match deed:
            case {"say": str(why)}:
                said = out.moment("conform.said").why(why)
                if deed.get("data") is not None:
                    said.data(deed["data"])
            case {"greet": True}:
                out.moment("conform.said").why(f"{self.greeting}, {event.key}")
            case {"show": "event"}:
                out.moment("conform.said").why("event").data(
                    {
                        "subscription": event.subscription,
                        "time": event.time,
                        "now": event.now,
                        "id": attribute(event, "id"),
                        "type": attribute(event, "type"),
                        "note": attribute(event, "note"),
                        "data": event.data(),
                    }
                )
            case {"show": True}:
                facts = {"count": state.count, "value": state.value, "key": event.key}
                out.moment("conform.said").why("state").data(facts)
            case {"set": value}:
                state.value = value
            case {"timer": str(name), "at": at}:
                out.timer(name, whole(at))
            case {"timer": str(name), "in": milliseconds}:
                out.timer(name, event.now + whole(milliseconds))
            case {"cancel": str(name)}:
                out.cancel(name)
            case {"act": str(reference)}:
                acted = out.moment("conform.acted").why("acted")
                if "about" in deed:
                    acted.subject(deed["about"])
                if "expires" in deed:
                    acted.expires_at(whole(deed["expires"]))
                acted.action("conform.do", deed.get("data"), reference=reference)
                acted.action("conform.tell", {})
            case {"forget": True}:
                pass  # When all other deeds are done.
            case {"fail": str(message)}:
                raise Failure(message)
            case _:
                raise Failure(f"no such deed: {deed}")

    def on_timer(self, timer: Timer, state: Memory, out: Output) -> None:
        out.moment("conform.said").why(f"timer {timer.name}").data(
            {"count": state.count, "value": state.value, "time": timer.time, "now": timer.now}
        )
        if timer.name == "again" and state.count > 0:
            out.timer("again", timer.time + 1000)
            state.count -= 1

    def on_outcome(self, outcome: Outcome, state: Memory, out: Output) -> None:
        try:
            answer = outcome.answer()
        except Failure:
            answer = None
        out.moment("conform.said").why(f"outcome {outcome.status.value}").data(
            {"action": outcome.action, "reference": outcome.reference, "answer": answer}
        )

    def migrate(self, from_version: int, key: str, state: bytes) -> Memory | None:
        """Version 1 was the count, as decimal digits and nothing else."""
        if from_version == 1 and state == b"forget":
            return None
        if from_version != 1 or not re.fullmatch(rb"[0-9]{1,15}", state):
            raise Failure("the state is no count")
        return Memory(count=int(state))


def deeds(event: Event) -> list[dict[str, Any]]:
    data = event.data(dict[str, Any])
    deeds = data.get("do", [])
    if not (isinstance(deeds, list) and all(isinstance(deed, dict) for deed in deeds)):
        raise Failure("`do` must be a list of objects")
    return deeds


def whole(value: Any) -> int:
    """The SDK takes any number: what is past is due at once."""
    if type(value) is not int or value < 0:
        raise Failure(f"{value} is no whole number from 0 on")
    return value


def attribute(event: Event, name: str) -> str | None:
    try:
        return event.attribute(name)
    except Failure:
        return None


export_rule(
    Conform,
    on("conform.*")
    .attribute("id")
    .attribute("type")
    .attribute("note")
    .on("other")
    .keyed_by_data("/about/id")
    .moment("conform.said")
    .moment("conform.acted")
    .action("conform.do")
    .action("conform.tell")
    .state_version(2),
)
