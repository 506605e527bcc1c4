"""What a rule says when it cannot make sense of an input."""

from __future__ import annotations

from types import CodeType

_SDK = __name__.rpartition(".")[0]


class Failure(Exception):
    """Why an input makes no sense to a rule, in words for the operator who finds it among the dead letters.

    Raised in `Rule.check`, it says what is wrong with the configuration.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def describe(error: BaseException) -> str:
    """What went wrong, in one line: what the rule says, or what it stumbled over, and where.

    Nothing here opens a file: under the host there is none. That is why it isn't the module `traceback`.
    """
    if isinstance(error, Failure):
        return printable(error.message)
    try:
        words = str(error)
    except Exception:
        words = ""
    name = type(error).__name__
    return printable(f"{name}: {words}" if words else name) + _place(error)


def printable(text: object) -> str:
    """Text that can leave: what is no Unicode in it (half a surrogate pair) is replaced."""
    text = str(text)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _place(error: BaseException) -> str:
    """Where in the rule's own code it happened, or else where at all."""
    own = last = None
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        last = (code, step.tb_lineno)
        if step.tb_frame.f_globals.get("__name__", "").partition(".")[0] != _SDK and _is_readable(code):
            own = last
        step = step.tb_next
    place = own or last
    if place is None:
        return ""
    code, line = place
    return f" ({_short(code.co_filename)}, line {line}, in {code.co_name})"


def _is_readable(code: CodeType) -> bool:
    """Is it no part of Python itself?"""
    file = code.co_filename
    return not (file.startswith(("<", "/python/")) or "/lib/python" in file)


def _short(file: str) -> str:
    """As the author knows it: under the host, folders of source are called `/0`, `/1`, ..."""
    parts = file.split("/")
    if len(parts) > 2 and not parts[0] and parts[1].isdigit():
        return "/".join(parts[2:])
    return parts[-1]
