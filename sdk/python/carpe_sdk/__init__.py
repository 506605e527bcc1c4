"""Write rules for Carpe in Python.

Four ideas are all there is to know:

- a `Rule` is a pure function, typed by the operator's configuration: the fields of its dataclass;
- an `Event` is what happened, about one key, e.g. one machine;
- the state (`Rule[State]`) is what the rule remembers of that key: a dataclass too;
- an `Output` takes what should follow: moments with actions, and timers.

What holds:

- **A rule has no clock, no files, no network, no memory of its own.** It depends on its configuration, the input and
  the key's state alone, so every decision can be computed again. Sort a `set` before you iterate over it: its order
  is nobody's promise.
- **An exception sets one input aside.** What that input had changed is undone: its state, timers and moments. It goes
  to the dead letters with the message, the others count. Raise `Failure` to say what is wrong with an input; of any
  other exception the message names the file and line.
- **States are kept as JSON**, so an operator can read them and a rule written anew in another language can go on with
  them. A field added with a default needs no migration. A state equal to the initial one is not kept at all, so a key
  that has come to rest takes no room.
- Instants are milliseconds since the Unix epoch: an `int`.

`carpe_sdk.testing` runs a rule natively, without WebAssembly, with a timeline of its own.
"""

from . import log
from .about import About, on
from .contract import INSTANT_LIMIT, Instant, Status
from .event import Event, Outcome, Timer
from .export import export_rule
from .failure import Failure
from .output import Moment, Output
from .rule import Rule, forget
from .streak import Streak

__all__ = [
    "INSTANT_LIMIT",
    "About",
    "Event",
    "Failure",
    "Instant",
    "Moment",
    "Outcome",
    "Output",
    "Rule",
    "Status",
    "Streak",
    "Timer",
    "export_rule",
    "forget",
    "log",
    "on",
]
