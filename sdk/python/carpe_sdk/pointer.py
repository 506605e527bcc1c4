"""JSON Pointers (RFC 6901)."""

from __future__ import annotations

from typing import Any

NOTHING = object()
"""There is nothing at the pointer."""


def find(document: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer, or `NOTHING`."""
    if not pointer:
        return document
    if not pointer.startswith("/"):
        return NOTHING
    for name in pointer[1:].split("/"):
        if "~" in name:
            name = name.replace("~1", "/").replace("~0", "~")
        if type(document) is dict:
            if name not in document:
                return NOTHING
            document = document[name]
        elif type(document) is list:
            # No leading zeros, no sign, no other digits.
            if not (name.isascii() and name.isdigit()) or (name[0] == "0" and name != "0"):
                return NOTHING
            if len(name) > 10 or int(name) >= len(document):
                return NOTHING
            document = document[int(name)]
        else:
            return NOTHING
    return document
