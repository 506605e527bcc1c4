"""Lines for the operator's log.

Not an effect: a line is written even if its input fails, and again if that is handled again. The host cuts long lines
and limits how many come a second. Natively they go to standard error.
"""

from __future__ import annotations

import enum
import sys

from .failure import printable


class Level(enum.Enum):
    """How much a line matters."""

    DEBUG = 0
    """For the rule's author."""
    INFO = 1
    """Worth knowing."""
    WARN = 2
    """Something is odd, and the rule can go on."""
    ERROR = 3
    """Something is wrong."""


def write(level: Level, message: str) -> None:
    """Writes one line."""
    if sys.platform == "wasi":
        from wit_world.imports import log as host

        host.write(host.Level(level.value), printable(message))
    else:
        print(f"{level.name.capitalize()}: {message}", file=sys.stderr)


def debug(message: str) -> None:
    """For the rule's author."""
    write(Level.DEBUG, message)


def info(message: str) -> None:
    """Worth knowing."""
    write(Level.INFO, message)


def warn(message: str) -> None:
    """Something is odd, and the rule can go on."""
    write(Level.WARN, message)


def error(message: str) -> None:
    """Something is wrong."""
    write(Level.ERROR, message)
