"""A machine was too hot three times in a row. See README.md."""

from dataclasses import dataclass

from carpe_sdk import Event, Output, Rule, export_rule, on


@dataclass
class Machine:
    """What is remembered of a machine."""

    hot: int = 0


@dataclass
class {{Name}}(Rule[Machine]):
    """The operator's configuration."""

    max_celsius: float

    def on_event(self, event: Event, state: Machine, out: Output) -> None:
        state.hot = state.hot + 1 if event.number("/celsius") > self.max_celsius else 0
        if state.hot == 3:
            moment = out.moment("machine.overheating").why("too hot three times in a row")
            moment.action("notify.service", {"machine": event.key})


export_rule({{Name}}, on("machine.temperature").moment("machine.overheating").action("notify.service"))
