"""A ready-made state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MOST = (1 << 32) - 1


@dataclass
class Streak:
    """How many times in a row something has held: a state that needs no code."""

    length: int = 0
    """How many times in a row, so far."""

    def of(self, holds: bool) -> int:
        """Counts one more if it `holds`, else begins again at 0. Returns the length; it stops at 2^32 - 1."""
        self.length = min(self.length + 1, _MOST) if holds else 0
        return self.length

    # A bare number, as the SDKs of other languages keep it.

    def __carpe_write__(self) -> Any:
        return self.length

    @classmethod
    def __carpe_read__(cls, value: Any) -> Streak:
        if type(value) is not int or not 0 <= value <= _MOST:
            raise ValueError("a whole number from 0 on")
        return cls(value)
