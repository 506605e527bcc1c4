"""What README.md shows is true."""

from __future__ import annotations

import re
import sys
import types
from datetime import timedelta
from pathlib import Path

import carpe_sdk
from carpe_sdk import Status, on
from carpe_sdk.testing import RuleTest, event

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)


def module(name: str, source: str, **names: object) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(names)
    sys.modules[name] = made  # Where dataclasses look for it.
    exec(source, made.__dict__)
    return made


def test_hello_and_its_test() -> None:
    hello, _, test = BLOCKS
    assert len(hello.splitlines()) <= 15
    rule = module("readme_hello", hello)
    module("readme_test", test, Overheat=rule.Overheat).test_three_times_too_hot()


def test_timers_outcomes_and_states() -> None:
    import dataclasses

    names = {name: getattr(carpe_sdk, name) for name in carpe_sdk.__all__}
    rule = module("readme_more", BLOCKS[1], dataclass=dataclasses.dataclass, field=dataclasses.field, **names)
    carpe_sdk.export_rule(rule.Medication, on("dose").moment("medication.missed").action("remind.nursing"))
    test = RuleTest(rule.Medication, {"grace_seconds": 60})
    due = test.now + 1000
    assert test.send(event("dose", subject="anna", data={"dose": "d", "due": due})).kinds == []
    (remind,) = test.advance(timedelta(hours=1)).all_actions
    assert (remind.data, test.keys) == ({"due": due}, [])
    assert test.answer(remind, Status.REJECTED, detail="no").failures == []
