"""What makes a rule a plugin."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, TypeVar

from .about import About
from .reading import reader
from .rule import Rule

R = TypeVar("R", bound="type[Rule[Any]]")

_about: dict[type[Rule[Any]], About] = {}
"""The rules that were exported: in a component one, in a test run maybe several."""


def export_rule(rule: R, about: About) -> R:
    """Makes a `Rule` the plugin that this package builds, and says what it is: see `About`.

        export_rule(Doorbell, on("door.rung").moment("visitor.waiting").action("notify.household"))

    A package holds one.
    """
    if not (isinstance(rule, type) and issubclass(rule, Rule)):
        raise TypeError(f"{rule!r} is no rule: derive it from `Rule`")
    if not dataclasses.is_dataclass(rule):
        raise TypeError(f"{rule.__name__} is no dataclass: write `@dataclass` above it")
    if rule.on_event is Rule.on_event:
        raise TypeError(f"{rule.__name__} has no `on_event`")
    if not isinstance(about, About):
        raise TypeError('say what the rule is given and may give: on("event.type").moment("..").action("..")')
    if sys.platform == "wasi" and _about:
        raise TypeError("a package exports one rule, and this is the second")
    from .runner import check_state

    # Wrong types are told here, when it is built or tested, and not by the first input.
    reader(rule, strict=True)
    check_state(rule.State)
    _about[rule] = about
    return rule


def described(rule: type[Rule[Any]]) -> About:
    """What an exported rule says that it is."""
    about = _about.get(rule)
    if about is None:
        raise TypeError(f"{rule.__name__} is not exported: call `export_rule({rule.__name__}, on(...))`")
    return about


def exported() -> type[Rule[Any]]:
    """The rule that the component's package exports."""
    if not _about:
        raise TypeError('the module exports no rule: call `export_rule(MyRule, on("event.type"))` in it')
    return next(iter(_about))
