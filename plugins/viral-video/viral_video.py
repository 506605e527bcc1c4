"""Mentions of a video take off against their own history: an ad is placed while they rise, and stopped when they
fade.

Mentions are counted by intervals, which timers close. Each closed interval is compared with what is usual for the
video, and then becomes part of it. See README.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from carpe_sdk import (
    Event,
    Failure,
    Instant,
    Outcome,
    Output,
    Rule,
    Status,
    Timer,
    export_rule,
    forget,
    on,
)

HOUR_MS = 3_600_000
MAX_AHEAD_MS = 60_000
"""How far a source's clock may be ahead."""
MAX_COUNT = 1_000_000
"""More mentions in one event are none."""
MAX_INTERVALS = 20_000
"""Of silence, before a video is forgotten: each is worked through when it is mentioned again."""
SURPRISE = 2.0
"""By how many spreads an interval may move the history at most: so one burst hardly changes what is usual."""
AD_IS_WORTH_MS = 30 * 60_000
"""For how long placing an ad makes sense once a rise was seen."""


@dataclass
class Mentions:
    """The data of an event."""

    count: int = 1


@dataclass
class Video:
    """What is remembered of a video, or whatever is mentioned."""

    interval_ms: int = 0
    """What the rest goes by. If the operator changes it, the history begins anew."""
    next: Instant = 0
    """Where the first interval begins that is not closed."""
    open: dict[int, int] = field(default_factory=dict)
    """Mentions by the beginning of their interval, of those that are not closed."""
    closed: int = 0
    """How many intervals the history is made of."""
    level: float = 0.0
    """The history: what is usual, on the scale of `scaled`."""
    spread: float = 0.0
    """And how far an interval usually is from it."""
    row: int = 0
    """How many intervals in a row have pointed at the other state."""
    rising: Instant | None = None
    """Where the interval begins with which a rise was seen, if one is on."""
    peak: int = 0
    """The most mentions in an interval of that rise."""
    ad: bool = False
    """Whether an ad was asked for, and not refused."""


@dataclass
class ViralVideo(Rule[Video]):
    """The operator's configuration."""

    interval_seconds: int = 300
    wait_seconds: int = 60
    half_life_hours: float = 24.0
    learn_intervals: int = 36
    min_mentions: int = 20
    rise_score: float = 5.0
    rise_intervals: int = 3
    fade_score: float = 1.0
    fade_intervals: int = 6
    forget_hours: int = 168

    def check(self) -> None:
        for name in ("interval_seconds", "half_life_hours", "learn_intervals", "rise_intervals", "fade_intervals"):
            if getattr(self, name) <= 0:
                raise Failure(f"`{name}` is {getattr(self, name)}: it must be above 0")
        if self.wait_seconds < 0 or self.min_mentions < 0:
            raise Failure("`wait_seconds` and `min_mentions` must not be negative")
        if not self.fade_score < self.rise_score:
            raise Failure(f"`fade_score` is {self.fade_score}: it must be below `rise_score`, {self.rise_score}")
        silent = self.forget_hours * HOUR_MS // self.interval_ms
        if not self.learn_intervals <= silent <= MAX_INTERVALS:
            raise Failure(
                f"`forget_hours` is {self.forget_hours}, that is {silent} intervals: it must be from `learn_intervals`, "
                f"{self.learn_intervals}, to {MAX_INTERVALS}"
            )

    def on_event(self, event: Event, state: Video, out: Output) -> None:
        count = event.data(Mentions).count
        if not 1 <= count <= MAX_COUNT:
            raise Failure(f"{count} mentions of {event.key} at once: is the source broken?")
        if event.time > event.now + MAX_AHEAD_MS:
            raise Failure(f"a mention of {event.key} from the future: is the source's clock right?")
        begin = event.time - event.time % self.interval_ms
        if self.due(begin) <= event.now:
            return  # Too late: its interval is closed.
        if state.interval_ms != self.interval_ms:
            forget(state)
            state.interval_ms = self.interval_ms
            state.next = begin
        self.close(event.key, event.now, state, out)
        if begin < state.next:
            # Of a video that is new, earlier than what was first heard of it.
            state.next = begin
        if begin not in state.open:
            state.open[begin] = 0
            out.timer("close", self.due(min(state.open)))
        state.open[begin] += count

    def on_timer(self, timer: Timer, state: Video, out: Output) -> None:
        # All goes by the timer's time, not by `now`: however late timers come, e.g. because the host was down, each
        # interval is closed as if they had been in time.
        if timer.name == "close":
            self.close(timer.key, timer.time, state, out)
            if state.open or state.rising is not None:
                # In a rise, silence counts too.
                out.timer("close", self.due(min(state.open) if state.rising is None else state.next))
            elif state.interval_ms:
                out.timer("forget", timer.time + self.forget_hours * HOUR_MS)
        elif not state.open and state.rising is None:
            forget(state)

    def on_outcome(self, outcome: Outcome, state: Video, out: Output) -> None:
        is_placed = outcome.status in (Status.DELIVERED, Status.FAILED)  # Of one that failed, nobody knows.
        if outcome.reference == str(state.rising):
            state.ad = is_placed
        elif is_placed:
            out.moment("video.fading").why("the ad was placed when mentions had faded already").action(
                "ad.stop", {"video": outcome.key}
            )

    @property
    def interval_ms(self) -> int:
        return self.interval_seconds * 1000

    def due(self, begin: Instant) -> Instant:
        """When the interval that begins there is closed: late mentions are waited for."""
        return begin + self.interval_ms + self.wait_seconds * 1000

    def close(self, key: str, until: Instant, state: Video, out: Output) -> None:
        """Closes the intervals that are due, those without a mention too."""
        while self.due(state.next) <= until:
            self.close_one(key, state.open.pop(state.next, 0), until, state, out)
            state.next += self.interval_ms

    def close_one(self, key: str, count: int, until: Instant, state: Video, out: Output) -> None:
        spread = max(1.0, state.spread)
        surprise = scaled(count) - state.level if state.closed else 0.0
        score = surprise / spread
        if state.rising is None:
            rises = state.closed >= self.learn_intervals and score >= self.rise_score and count >= self.min_mentions
            state.row = state.row + 1 if rises else 0
            if state.row >= self.rise_intervals:
                self.rise(key, count, score, until, state, out)
        else:
            state.peak = max(state.peak, count)
            state.row = state.row + 1 if score < self.fade_score else 0
            if state.row >= self.fade_intervals:
                self.fade(key, count, state, out)
        self.learn(count, surprise, spread, state)

    def rise(self, key: str, count: int, score: float, until: Instant, state: Video, out: Output) -> None:
        usual = unscaled(state.level)
        state.rising, state.row, state.peak, state.ad = state.next, 0, count, True
        facts: dict[str, Any] = {"video": key, "mentions": count, "usual": usual, "score": round(score, 1)}
        out.moment("video.rising").why(
            f"{count} mentions in {self.interval()}, where {usual} are usual"
        ).data(facts).expires_at(until + AD_IS_WORTH_MS).action("ad.place", facts, reference=str(state.rising))

    def fade(self, key: str, count: int, state: Video, out: Output) -> None:
        usual = unscaled(state.level)
        facts = {"video": key, "mentions": count, "usual": usual, "peak": state.peak}
        faded = out.moment("video.fading").why(
            f"{count} mentions in {self.interval()}, after {state.peak} at the peak"
        ).data(facts)
        if state.ad:
            faded.action("ad.stop", facts)
        state.rising, state.row, state.peak, state.ad = None, 0, 0, False

    def learn(self, count: int, surprise: float, spread: float, state: Video) -> None:
        """Takes an interval into the history; exponentially weighted, and the first ones all alike."""
        state.closed = min(state.closed + 1, 1_000_000)
        if state.closed == 1:
            state.level = scaled(count)
            return
        half_life = self.half_life_hours * HOUR_MS / self.interval_ms
        weight = max(1 - 0.5 ** (1 / half_life), 1 / state.closed)
        surprise = max(-SURPRISE * spread, min(SURPRISE * spread, surprise))
        state.level += weight * surprise
        # 1.25 mean absolute deviations are a standard deviation, if things are normal.
        state.spread += weight * (1.25 * abs(surprise) - state.spread)

    def interval(self) -> str:
        """For people."""
        seconds = self.interval_seconds
        return f"{seconds // 60} minutes" if seconds >= 120 and seconds % 60 == 0 else f"{seconds} s"


def scaled(count: int) -> float:
    """A scale on which chance alone spreads every count by 1 (Anscombe): so 4 instead of 2 is as little as 110
    instead of 100."""
    return 2 * math.sqrt(count + 0.375)


def unscaled(level: float) -> int:
    return max(0, round(level * level / 4 - 0.375))


export_rule(
    ViralVideo,
    on("video.mentioned")
    .moment("video.rising")
    .moment("video.fading")
    .action("ad.place")
    .action("ad.stop"),
)
