"""The component's side, natively: with stand-ins for what componentize-py generates."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from carpe_sdk import Event, Failure, Output, Rule, export, export_rule, on
from carpe_sdk.contract import Batch, Data_Json, GivenEvent, Input, Keyed, Payload_Event


class Err(Exception):
    def __init__(self, value: str) -> None:
        self.value = value


@dataclass
class Doorbell(Rule[None]):
    rings: int = 1

    def on_event(self, event: Event, state: None, out: Output) -> None:
        for _ in range(self.rings):
            out.moment("visitor.waiting").why(event.string("/name"))


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("componentize_py_types", "wit_world", "wit_world.imports", "wit_world.imports.log"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules["componentize_py_types"], "Err", Err, raising=False)
    monkeypatch.setattr(sys.modules["wit_world.imports"], "log", None, raising=False)
    monkeypatch.delitem(sys.modules, "carpe_sdk.guest", raising=False)
    # One rule a component; and what it closes would be closed for pytest too.
    monkeypatch.setattr(export, "_about", {})
    from carpe_sdk import guest

    monkeypatch.setattr(guest, "_close_the_world", lambda: None)
    monkeypatch.setattr(guest, "_take_the_clock", lambda: None)
    return guest


def load(guest: Any, about: Any = None, migrates: bool = False) -> None:
    about = about or on("door.rung").moment("visitor.waiting")
    guest.load(lambda: export_rule(Doorbell, about), "doorbell", "1.2.3", "Somebody rings.", migrates)


def test_objects_share_the_rule(guest: Any) -> None:
    load(guest)
    with pytest.raises(Err) as error:
        guest.Rule().handle(Batch([], []))
    assert error.value.value == "`init` was not called, or it failed"
    description = guest.Rule().init('{"rings": 2}')
    assert (description.name, description.version, description.summary) == ("doorbell", "1.2.3", "Somebody rings.")
    inputs = [
        Input(0, 1, 2, Payload_Event(GivenEvent(0, [], Data_Json(data)))) for data in ('{"name": "Ada"}', '{"name": 1}')
    ]
    effects = guest.Rule().handle(Batch([Keyed("k", None)], inputs))
    assert [(moment.cause, moment.why) for moment in effects.moments] == [(0, "Ada"), (0, "Ada")]
    assert [(failure.input, failure.message) for failure in effects.failures] == [
        (1, "the event's data has 1 at `/name`, where a string should be")
    ]
    assert effects.states == []


def test_errors_are_told(guest: Any) -> None:
    load(guest, on("door.rung").named("bell"))
    with pytest.raises(Err) as error:
        guest.Rule().init('{"rings": "2"}')
    assert error.value.value == 'configuration: `rings` is "2": it must be a whole number'
    assert guest.Rule().init("{}").name == "bell"
    with pytest.raises(Err) as error:
        guest.Migration().migrate(1, "k", b"")
    assert error.value.value == "this version of the rule cannot read states of version 1"


def test_what_would_not_become_a_plugin_is_refused_when_it_is_built(guest: Any) -> None:
    with pytest.raises(TypeError, match="exports no rule"):
        guest.load(lambda: None, "x", "1.0.0", "", False)
    with pytest.raises(TypeError, match="has no `migrate`"):
        load(guest, migrates=True)


def test_what_is_refused_says_so(guest: Any) -> None:
    with pytest.raises(Failure, match="no files"):
        guest._no_files("/etc/passwd")
    with pytest.raises(ImportError, match="import it at the beginning"):
        guest._NoFiles.find_spec("decimal")
    with pytest.raises(Failure, match="no clock"):
        guest._DateTime.now()
    assert isinstance(guest._DateTime.fromisoformat("2026-01-01"), guest._DateTime)
