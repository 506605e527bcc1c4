"""A gauge has risen in three readings in a row, and stands high."""

from dataclasses import dataclass

from carpe_sdk import Event, Output, Rule, export_rule, on


@dataclass
class Gauge:
    cm: int = 0
    rises: int = 0


@dataclass
class Rising(Rule[Gauge]):
    above_cm: int

    def on_event(self, event: Event, state: Gauge, out: Output) -> None:
        reading = event.data()
        level = reading["level"]
        state.rises = state.rises + 1 if 0 < state.cm < level else 0
        state.cm = level
        if state.rises >= 3 and level > self.above_cm:
            facts = {"gauge": event.key, "n": reading["n"], "level": level}
            out.moment("flood.rising").why(f"{level} cm, and rising").action("alert", facts)


export_rule(Rising, on("gauge.level").moment("flood.rising").action("alert"))
