"""Natively, with the SDK's test kit: `pytest` in this folder."""

from __future__ import annotations

import csv
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest
from carpe_sdk import Failure, Status
from carpe_sdk.testing import START, Happened, RuleTest, TestEvent, event
from viral_video import ViralVideo

MINUTE = 60_000


def viral(**configuration: Any) -> RuleTest:
    """With short memories: a minute's intervals, 10 of them to learn from."""
    return RuleTest(
        ViralVideo,
        {"interval_seconds": 60, "wait_seconds": 10, "learn_intervals": 10, "half_life_hours": 1.0, **configuration},
    )


def mentions(minute: float, count: int | None = None, video: str = "clip-7") -> TestEvent:
    data = {} if count is None else {"count": count}
    return event("video.mentioned", subject=video, time=START + round(minute * MINUTE), data=data)


def tell(test: RuleTest, counts: list[int], first: int = 0, video: str = "clip-7") -> list[tuple[int, str]]:
    """Which moments come of as many mentions minute by minute, and after which minutes."""
    told = []
    for minute, count in enumerate(counts, first):
        happened = Happened()
        if count:
            happened._add(test.send(mentions(minute, count, video)))
        happened._add(test.advance_to(START + (minute + 1) * MINUTE + 10_000))
        assert happened.failures == []
        told += [(minute, kind) for kind in happened.kinds]
    return told


CALM = [9, 12, 10, 8, 11, 10, 12, 9, 10, 11]


def test_a_rise_is_told_once_and_ends_when_it_fades() -> None:
    test = viral()
    assert tell(test, CALM * 2 + [60, 80, 90, 120, 300, 200, 90] + [10] * 8) == [
        (22, "video.rising"),
        (32, "video.fading"),
    ]
    assert test.state("clip-7").rising is None


def test_what_is_said_of_it() -> None:
    test = viral()
    tell(test, CALM * 2 + [60, 80])
    test.send(mentions(22, 90))
    (rising,) = test.advance_to(START + 24 * MINUTE).moments
    assert rising.why == "90 mentions in 60 s, where 11 are usual"
    assert rising.time == START + 23 * MINUTE + 10_000
    assert rising.expires == rising.time + 30 * MINUTE
    (place,) = rising.actions
    assert (place.name, place.data) == (
        "ad.place",
        {"video": "clip-7", "mentions": 90, "usual": 11, "score": place.data["score"]},
    )
    test.answer(place, Status.DELIVERED)
    (fading,) = test.advance(timedelta(minutes=10)).moments
    assert (fading.kind, fading.data["peak"], [action.name for action in fading.actions]) == (
        "video.fading",
        90,
        ["ad.stop"],
    )


@pytest.mark.parametrize("usual", [0, 1, 5, 100, 20_000])
def test_chance_is_no_rise_whatever_is_usual(usual: int) -> None:
    chance = Random(7)
    counts = [max(0, round(chance.gauss(usual, math.sqrt(usual)))) for _ in range(400)]
    assert tell(viral(min_mentions=0), counts) == []


@pytest.mark.parametrize("usual", [1, 5, 100, 20_000])
def test_a_tenfold_rise_is_seen_whatever_is_usual(usual: int) -> None:
    chance = Random(7)
    counts = [max(0, round(chance.gauss(usual, math.sqrt(usual)))) for _ in range(100)]
    told = tell(viral(), counts + [10 * usual + 30] * 5)
    assert told == [(102, "video.rising")]


def test_one_burst_is_no_rise_and_hides_none() -> None:
    test = viral()
    assert tell(test, CALM * 2 + [900_000] + CALM) == []
    assert tell(test, [100] * 4, first=31) == [(33, "video.rising")]


def test_a_video_without_history_cannot_rise() -> None:
    assert tell(viral(), [500] * 9) == []


def test_what_goes_on_becomes_usual() -> None:
    told = tell(viral(), CALM * 2 + [100] * 600)
    assert [kind for _, kind in told] == ["video.rising", "video.fading"]


def test_order_within_the_wait_makes_no_difference() -> None:
    chance = Random(3)
    counts = CALM * 2 + [50] * 6 + [10] * 10
    in_order = viral()
    tell(in_order, counts)
    test = viral()
    kinds = []
    for minute, count in enumerate(counts):
        # All that happened in the minute comes within the 10 s after it, shuffled.
        kinds += test.advance_to(START + (minute + 1) * MINUTE).kinds
        times = [minute + (at + 0.5) / count for at in range(count)]
        chance.shuffle(times)
        for time in times:
            kinds += test.send(mentions(time)).kinds
    kinds += test.advance_to(in_order.now).kinds
    assert kinds == ["video.rising", "video.fading"]
    assert test.state("clip-7") == in_order.state("clip-7")


def test_late_mentions_change_nothing() -> None:
    test = viral()
    tell(test, CALM)
    before = test.state("clip-7")
    for minute in (0, 3, 9.99):
        assert test.send(mentions(minute, 500)) == Happened()
    assert test.state("clip-7") == before
    assert test.send(mentions(0, 500, "unheard-of")) == Happened()
    assert test.keys == ["clip-7"]


def test_absurd_mentions_are_set_aside_and_change_nothing() -> None:
    test = viral()
    tell(test, CALM)
    before = test.state("clip-7")
    for data in (
        '{"count":0}', '{"count":-1}', '{"count":1.5}', '{"count":"3"}', '{"count":true}', '{"count":1000001}',
        '{"count":1e999}', '{"count":[]}', '{"count":NaN}', "[]", "7", '{"count":null}', "{", "", '{"count":' + "9" * 5_000 + "}",
    ):  # fmt: skip
        happened = test.send(event("video.mentioned", subject="clip-7", json=data))
        assert (happened.moments, len(happened.failures)) == ([], 1), data
    assert len(test.send(event("video.mentioned", subject="clip-7")).failures) == 1
    assert len(test.send(event("video.mentioned", subject="clip-7", binary=b"\x00")).failures) == 1
    assert test.state("clip-7") == before


def test_silence_counts() -> None:
    test = viral()
    tell(test, CALM)
    # An hour later, calm intervals that nobody mentioned it in are part of its history.
    test.send(mentions(75, 10))
    state = test.state("clip-7")
    assert (state.closed, state.level < 5) == (74, True)
    # In a rise, silence alone ends it.
    test = viral()
    tell(test, CALM * 2 + [100] * 5)
    happened = test.advance(timedelta(hours=1))
    assert happened.kinds == ["video.fading"]
    assert happened.moments[0].data["mentions"] == 0


def test_a_video_that_nobody_mentions_is_forgotten() -> None:
    test = viral(forget_hours=2)
    tell(test, CALM)
    assert test.keys == ["clip-7"]
    assert test.advance(timedelta(hours=3)) == Happened()
    assert (test.keys, test._timers) == ([], {})


def test_an_ad_that_was_refused_is_not_stopped() -> None:
    for status, stopped in (
        (Status.REJECTED, []),
        (Status.WITHHELD, []),
        (Status.EXPIRED, []),
        (Status.FAILED, ["ad.stop"]),
        (Status.DELIVERED, ["ad.stop"]),
    ):
        test = viral()
        tell(test, CALM * 2 + [100] * 2)
        test.send(mentions(22, 100))
        (place,) = test.advance_to(START + 24 * MINUTE).all_actions
        assert test.answer(place, status) == Happened()
        assert test.advance(timedelta(hours=1)).actions == stopped
        # Told once more, and too late: whoever placed it must stop it.
        assert test.answer(place, status).actions == stopped


def test_another_interval_begins_a_new_history() -> None:
    test = viral()
    tell(test, CALM)
    other = viral(interval_seconds=120)
    other._states, other.now = test._states, test.now
    assert other.send(mentions(11, 10)) == Happened()
    assert (other.state("clip-7").closed, other.state("clip-7").interval_ms) == (0, 120_000)


def test_however_late_timers_come_the_same_is_told() -> None:
    counts = CALM * 2 + [100] * 5
    in_time, late = viral(), viral()
    for test in (in_time, late):
        tell(test, counts)
    told = in_time.advance(timedelta(days=3650)).moments
    late.now += 3650 * 24 * 60 * MINUTE
    assert late.advance(timedelta()).moments == told
    assert [(moment.kind, moment.time) for moment in told] == [("video.fading", START + 31 * MINUTE + 10_000)]
    assert late.keys == in_time.keys == []


def test_what_is_remembered_is_bounded() -> None:
    test = viral()
    for second in range(0, 7200, 5):
        test.send(event("video.mentioned", subject="clip-7", time=START + second * 1000, data={}))
    assert len(test._states["clip-7"]) < 400


@pytest.mark.parametrize(
    ("configuration", "named"),
    [
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"fade_score": 9}, "fade_score"),
        ({"forget_hours": 1}, "forget_hours"),
        ({"interval_seconds": 1}, "forget_hours"),
        ({"half_life_hours": "1"}, "half_life_hours"),
        ({"intervals": 1}, "intervals"),
    ],
)
def test_a_senseless_configuration_is_refused(configuration: dict[str, Any], named: str) -> None:
    with pytest.raises(Failure, match=f"`{named}`"):
        RuleTest(ViralVideo, configuration)
    RuleTest(ViralVideo)


def test_recorded_mentions_of_a_company() -> None:
    with open(Path(__file__).parents[2] / "tests/data/Twitter_volume_GOOG.csv") as stream:
        recorded = [
            (datetime.fromisoformat(row["timestamp"] + "+00:00"), int(row["value"])) for row in csv.DictReader(stream)
        ]
    test = RuleTest(ViralVideo, start=instant(recorded[0][0]))
    rises = []
    for time, count in recorded:
        if count:
            happened = test.send(event("video.mentioned", subject="GOOG", time=instant(time), data={"count": count}))
            assert happened.failures == []
            rises += [moment.time for moment in happened.moments if moment.kind == "video.rising"]
    # People marked 13 to 15 March, 22 to 23 March (fewer than usual: no rise), and 31 March to 1 April. The others rose
    # to five times what is usual, or more, too.
    days = [datetime.fromtimestamp(time / 1000, timezone.utc).strftime("%m-%d") for time in rises]
    assert days == ["02-27", "03-13", "03-14", "03-28", "04-01", "04-05"]


def instant(time: datetime) -> int:
    return int(time.timestamp()) * 1000
