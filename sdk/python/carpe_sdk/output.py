"""What should follow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .contract import INSTANT_LIMIT, Action, Effects, FailedInput, Instant, TimerChange
from .contract import Moment as MomentEffect
from .failure import printable
from .reading import write

_MILLISECOND = timedelta(milliseconds=1)


class Output:
    """Takes what should follow from one input. Nothing happens unless the input succeeds; then all of it does."""

    __slots__ = ("_cause", "_effects", "_mark", "_now")

    def __init__(self) -> None:
        self._effects = Effects([], [], [], [])
        self._cause = 0
        self._now: Instant = 0
        # Where the current input's effects begin.
        self._mark = (0, 0, 0)

    def moment(self, kind: str) -> Moment:
        """A moment of this kind, which the rule's description names, occurred: about the input's key, at its time.

            out.moment("flood.rising")
                .why("the river rose 40 cm in an hour")
                .expires_in(timedelta(hours=1))
                .action("alert.residents", {"gauge": event.key})
        """
        moment = MomentEffect(self._cause, _text(kind, "a moment's kind"), "", None, None, None, [])
        self._effects.moments.append(moment)
        return Moment(moment, self._now)

    def timer(self, name: str, at: Instant | None = None, *, after: timedelta | None = None) -> None:
        """Sets a timer of the input's key, by its name, in place of an earlier setting. Keys don't share timers.

        Either `at` an instant on the timeline (one already past is due at once), or so long `after` the timeline's
        `now`: fractions of a millisecond are cut.
        """
        if (at is None) == (after is None):
            raise TypeError("say when the timer is due: `at` an instant, or `after` a timedelta")
        if after is not None:
            at = _later(self._now, after)
        self._effects.timers.append(TimerChange(self._cause, _text(name, "a timer's name"), _instant(at)))

    def cancel(self, name: str) -> None:
        """Cancels a timer of the input's key. If it is not set, that does nothing."""
        self._effects.timers.append(TimerChange(self._cause, _text(name, "a timer's name"), None))

    def fail(self, message: str) -> None:
        """Sets the input aside, with what is wrong with it for people, but keeps what the rule makes of it.

        For an input of which a part makes sense. To keep nothing, raise `Failure` instead.
        """
        self._effects.failures.append(FailedInput(self._cause, printable(message)))

    def _begin(self, cause: int, now: Instant) -> None:
        effects = self._effects
        self._cause = cause
        self._now = now
        self._mark = (len(effects.timers), len(effects.moments), len(effects.failures))

    def _undo(self, message: str) -> None:
        """Undoes what the input gave, and sets it aside."""
        timers, moments, failures = self._mark
        del self._effects.timers[timers:]
        del self._effects.moments[moments:]
        del self._effects.failures[failures:]
        self._effects.failures.append(FailedInput(self._cause, message))


class Moment:
    """A moment in the making: something that occurred and passes."""

    __slots__ = ("_moment", "_now")

    def __init__(self, moment: MomentEffect, now: Instant) -> None:
        self._moment = moment
        self._now = now

    def why(self, why: str) -> Moment:
        """One line for people: why now."""
        self._moment.why = _text(why, "`why`")
        return self

    def subject(self, subject: str) -> Moment:
        """Whom or what it concerns, e.g. a person's id, if that is not the key: what consent, caps and erasure go
        by."""
        self._moment.subject = _text(subject, "`subject`")
        return self

    def data(self, data: Any) -> Moment:
        """For programs: the facts of it."""
        self._moment.data = self._json("data", data)
        return self

    def expires_at(self, instant: Instant) -> Moment:
        """Until when its actions may be taken."""
        self._moment.expires = _instant(instant)
        return self

    def expires_in(self, duration: timedelta) -> Moment:
        """For how long, from the timeline's `now`, its actions may be taken."""
        return self.expires_at(_later(self._now, duration))

    def action(self, name: str, data: Any, *, reference: str | None = None) -> Moment:
        """What to do about it, and what the other side needs to know.

        With a reference, by which the rule can tell its actions apart, `Rule.on_outcome` is called, once, with what
        became of it. Otherwise that is not told.
        """
        if reference is not None:
            reference = _text(reference, "`reference`")
        self._moment.actions.append(Action(_text(name, "an action's name"), reference, self._json(name, data)))
        return self

    def _json(self, of: str, data: Any) -> str:
        try:
            return write(data)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{of} of moment `{self._moment.kind}` cannot be written as JSON: {error}") from None


def _text(text: str, what: str) -> str:
    """The host would stop the whole instance at what is no text."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is {type(text).__name__}: it must be a string")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} is no Unicode: it has half a surrogate pair") from None
    return text


def _instant(at: Any) -> Instant:
    if type(at) is not int:
        raise TypeError(f"an instant is {at!r}: it must be a whole number of milliseconds")
    return min(max(at, 0), INSTANT_LIMIT - 1)


def _later(now: Instant, duration: Any) -> Instant:
    if not isinstance(duration, timedelta):
        raise TypeError(f"a duration is {type(duration).__name__}: it must be a timedelta")
    return now + duration // _MILLISECOND
