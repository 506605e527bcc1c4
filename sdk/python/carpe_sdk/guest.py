"""The component's side: what componentize-py exports. Only here, and in `contract` and `log`, are its bindings
imported."""

from __future__ import annotations

import _strptime  # noqa: F401  What `datetime.strptime` loads when it is first called.
import builtins
import datetime
import io
import linecache
import os
import sys
import time
from typing import Any, Callable

from componentize_py_types import Err
from wit_world.imports import log as _  # So that it is in the component.

from . import log
from .contract import Batch, Description, Effects
from .export import described, exported
from .failure import Failure, describe
from .rule import Rule as AuthorsRule
from .runner import Runner

_package = {"name": "", "version": "", "summary": ""}
# `init` and `handle` are called on objects of their own, so what one leaves for the other is kept here.
_runner: Runner | None = None


def load(import_rule: Callable[[], object], name: str, version: str, summary: str, migrates: bool) -> None:
    """Called while the component is built: all that is loaded here is in it."""
    _package.update(name=name, version=version, summary=summary)
    _take_the_clock()
    import_rule()
    rule = exported()
    if (rule.migrate is not AuthorsRule.migrate) != migrates:
        raise TypeError(
            "the rule has no `migrate`, but pyproject.toml says `migrates = true`"
            if migrates
            else "the rule has a `migrate`: say `migrates = true` under `[tool.carpe]` in pyproject.toml"
        )
    # What is made once, so that no instance has to.
    about = described(rule)
    about._describe(**_package)


class Rule:
    """The interface `rule`."""

    def init(self, configuration: str) -> Description:
        global _runner
        try:
            # Not before: componentize-py still loads modules of its own after the rule.
            _close_the_world()
            runner = Runner(exported(), configuration)
            description = runner.about._describe(**_package)
        except BaseException as error:
            raise Err(describe(error)) from None
        _runner = runner
        return description

    def handle(self, batch: Batch) -> Effects:
        runner = _loaded()
        try:
            return runner.handle(batch)
        except BaseException as error:
            raise Err(describe(error)) from None


class Migration:
    """The interface `migration`."""

    def migrate(self, from_version: int, key: str, state: bytes) -> bytes | None:
        runner = _loaded()
        try:
            return runner.migrate(from_version, key, state)
        except BaseException as error:
            raise Err(describe(error)) from None


def _loaded() -> Runner:
    if _runner is None:
        raise Err("`init` was not called, or it failed")
    return _runner


class _LogLines(io.TextIOBase):
    """What is printed goes to the log, a line each: there is nowhere else."""

    def __init__(self, level: log.Level) -> None:
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            log.write(self._level, line)
        return len(text)


def _refuse(what: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise Failure(what)

    return refused


_no_files = _refuse("a rule has no files")
_no_clock = _refuse("a rule has no clock: go by the input's `time` and `now`")
_no_chance = _refuse("a rule has no chance: the same input must give the same result")

_FILES = (
    "access chdir chmod getcwd link listdir lstat makedirs mkdir open readlink remove removedirs rename replace rmdir "
    "scandir stat symlink truncate unlink utime walk"
).split()


class _DateTime(datetime.datetime):
    """Stands for `datetime.datetime`, whose own `now` cannot be replaced."""

    __slots__ = ()

    now = today = utcnow = _no_clock


class _NoFiles:
    """Stands for what finds modules in files."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        # Some are asked for by names that need not exist.
        if not name.startswith("_"):
            raise ImportError(f"`{name}` is not in the component: import it at the beginning of the rule's module")


def _take_the_clock() -> None:
    """Before the rule is loaded, which could take it under a name of its own."""
    _DateTime.__name__ = _DateTime.__qualname__ = "datetime"
    _DateTime.__module__ = "datetime"
    setattr(datetime, "datetime", _DateTime)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        setattr(time, name, _no_clock)
    time.sleep = _refuse("a rule cannot wait: set a timer")


def _close_the_world() -> None:
    """What a rule cannot have says so in words. Without this, it would be a trap that says nothing, or worse: chance
    that was fixed when the component was built.

    One thing is left that traps: `random.Random()` without a seed.
    """
    sys.stdout = _LogLines(log.Level.INFO)
    sys.stderr = _LogLines(log.Level.WARN)
    # Warnings and tracebacks look for source lines.
    linecache.checkcache = lambda *_: None
    linecache.updatecache = lambda *_: []
    builtins.open = io.open = _no_files
    for name in _FILES:
        if hasattr(os, name):
            setattr(os, name, _no_files)
    sys.meta_path[:] = [finder for finder in sys.meta_path if "PathFinder" not in repr(finder)] + [_NoFiles()]
    os.urandom = _no_chance
    random = sys.modules.get("random")
    if random is not None:
        setattr(random, "_urandom", _no_chance)
        for name in random.__all__:
            if callable(getattr(random, name)) and name not in ("Random", "SystemRandom"):
                setattr(random, name, _no_chance)
