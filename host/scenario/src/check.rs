//! Tells a story in all ways that must make no difference to a rule.

use std::fmt;

use carpe::sandbox::SandboxOptions;
use serde_json::Value;

use crate::{Components, Cut, Scenario, TellError, Telling, difference};

/// What is wrong with what came of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Something else came of it than what should: what differs.
    Unexpected(String),
    /// Something else comes of it when it is told in another way that must make no difference.
    Impure {
        /// In which way.
        how: &'static str,
        /// What differs.
        difference: String,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Unexpected(difference) => f.write_str(difference),
            Wrong::Impure { how, difference } => write!(
                f,
                "something else comes of it when {how}: the rule keeps something between calls that is not in its state, \
                 or depends on how inputs are cut into batches.\nA rule has to be a pure function of its configuration, the \
                 inputs and the key's state, or a restart would change its decisions.\n{difference}"
            ),
        }
    }
}

impl Scenario {
    /// Tells it one event after the other, and compares what came of it with what should; then in the other ways, and compares
    /// that with the first. Returns what came of it first, and what is wrong, if something is.
    ///
    /// # Errors
    /// [`TellError`].
    pub fn check(
        &self,
        component: Components<'_>,
        sandbox: &SandboxOptions,
        seed: u64,
    ) -> Result<(Vec<Value>, Option<Wrong>), TellError> {
        let tell = |threads, cut, fresh| {
            self.tell(component, &Telling { threads, cut, fresh, sandbox: sandbox.clone() })
        };
        let told = tell(1, Cut::OneByOne, false)?;
        if let Some(difference) = difference(&self.expected, &told) {
            return Ok((told, Some(Wrong::Unexpected(difference))));
        }
        for (threads, cut, fresh, how) in [
            (1, Cut::OneByOne, true, "each input goes to an instance that was never called before"),
            (4, Cut::OneByOne, false, "keys are spread over several instances"),
            (2, Cut::Whole, false, "events that follow each other are given in one batch"),
            (2, Cut::Random(seed), true, "events are cut into batches at random, each for a fresh instance"),
        ] {
            if self.comes_back() && cut != Cut::OneByOne {
                continue;
            }
            if let Some(difference) = difference(&told, &tell(threads, cut, fresh)?) {
                return Ok((told, Some(Wrong::Impure { how, difference })));
            }
        }
        Ok((told, None))
    }
}
