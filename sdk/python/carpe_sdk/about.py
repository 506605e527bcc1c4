"""What a rule is, and what it wants to be given."""

from __future__ import annotations

import json
from typing import Any

from .contract import (
    Description,
    KeyedBy,
    KeyedBy_Attribute,
    KeyedBy_Data,
    KeyedBy_Nothing,
    Subscription,
)


class About:
    """What a rule is given and what it may give: the second argument of `export_rule`.

    Begins with `on`. What is said of a subscription (its key, filter and attributes) is said of the latest `on`
    before it. Name, version and summary are those of the rule's pyproject.toml unless said otherwise.

        on("order.*").keyed_by_data("/order/id").attribute("source")
            .on("payment.received").keyed_by_attribute("orderid").filter("amount > 0")
            .moment("order.unpaid")
            .action("notify.customer").action("order.cancel")
    """

    def __init__(self, event_type: str) -> None:
        self._name = ""
        self._version = ""
        self._summary = ""
        self._settings: str | None = None
        self._subscriptions: list[Subscription] = []
        self._moments: list[str] = []
        self._actions: list[str] = []
        self._state_version = 1
        self.on(event_type)

    def on(self, event_type: str) -> About:
        """It is given events of this type too."""
        # Without its `type`, an event that a pattern matched could not be told from the others.
        attributes = ["type"] if event_type.endswith("*") else []
        self._subscriptions.append(Subscription(event_type, None, KeyedBy_Attribute("subject"), attributes))
        return self

    def keyed_by_attribute(self, name: str) -> About:
        """Such events are about what a CloudEvents attribute says, e.g. `source`."""
        return self._keyed_by(KeyedBy_Attribute(name))

    def keyed_by_data(self, pointer: str) -> About:
        """Such events are about what their JSON data says at a JSON Pointer, e.g. `/order/id`: a string or a whole
        number."""
        return self._keyed_by(KeyedBy_Data(pointer))

    def keyed_by_nothing(self) -> About:
        """All such events have one key, whose name is empty."""
        return self._keyed_by(KeyedBy_Nothing())

    def filter(self, expression: str) -> About:
        """Only such events are given for which this CloudEvents SQL expression is true.

        The host evaluates it at a small fraction of what a call costs.
        """
        self._subscriptions[-1].filter = expression
        return self

    def attribute(self, name: str) -> About:
        """Such events come with this CloudEvents attribute, for `Event.attribute`."""
        attributes = self._subscriptions[-1].attributes
        if name not in attributes:
            attributes.append(name)
        return self

    def moment(self, kind: str) -> About:
        """It may return moments of this kind."""
        self._moments.append(kind)
        return self

    def action(self, name: str) -> About:
        """It may return this action."""
        self._actions.append(name)
        return self

    def named(self, name: str) -> About:
        """Another name than the package's. State, timers and outcomes belong to it across versions."""
        self._name = name
        return self

    def versioned(self, version: str) -> About:
        """Another version than the package's: a semantic one."""
        self._version = version
        return self

    def summary(self, summary: str) -> About:
        """One line for people, instead of the package's description."""
        self._summary = summary
        return self

    def settings(self, schema: Any) -> About:
        """A JSON Schema of the configuration."""
        self._settings = json.dumps(schema)
        return self

    def state_version(self, version: int) -> About:
        """The version of the state's format, 1 unless said otherwise.

        Let it grow when today's type cannot read what yesterday's wrote, and write `Rule.migrate`.
        """
        self._state_version = version
        return self

    def _keyed_by(self, keyed_by: KeyedBy) -> About:
        self._subscriptions[-1].keyed_by = keyed_by
        return self

    def _describe(self, name: str, version: str, summary: str) -> Description:
        """Filled in from the package with what was not said."""
        return Description(
            self._name or name,
            self._version or version,
            self._summary or summary,
            self._settings,
            self._subscriptions,
            self._moments,
            self._actions,
            self._state_version,
        )


def on(event_type: str) -> About:
    """The rule is given events of this CloudEvents `type`, keyed by their `subject`. A trailing `*` stands for any
    rest."""
    return About(event_type)
