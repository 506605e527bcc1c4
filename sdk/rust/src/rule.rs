//! The idea that an author writes: a rule.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::event::{Event, Outcome, Timer};
use crate::output::Output;

/// A rule: what should follow from what happened, given what is remembered.
///
/// The type itself is the operator's configuration, read by serde from JSON (`{}` if there is none). Put
/// `#[serde(deny_unknown_fields)]` on it, so that a misspelt setting is refused rather than ignored, and
/// the unit into each name: `grace_seconds`.
///
/// The methods must be pure: what they do may depend on their arguments alone.
pub trait Rule: DeserializeOwned + 'static {
    /// What is remembered per key, from one input to the next.
    type State: State;

    /// Checks what types cannot: called once, when the plugin is loaded.
    ///
    /// # Errors
    /// What is wrong with the configuration, naming the field. The plugin is then refused.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// An event came that a subscription matched.
    ///
    /// # Errors
    /// Why it makes no sense. It goes to the dead letters, and has changed nothing.
    fn on_event(&self, event: &Event, state: &mut Self::State, out: &mut Output) -> Result<()>;

    /// A timer that the rule set for this key came due. It is no longer set.
    ///
    /// # Errors
    /// As for [`Rule::on_event`].
    fn on_timer(&self, _timer: &Timer, _state: &mut Self::State, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// It is known what became of an action that was emitted with a reference.
    ///
    /// # Errors
    /// As for [`Rule::on_event`].
    fn on_outcome(&self, _outcome: &Outcome, _state: &mut Self::State, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// Brings one key's state from an earlier [`state_version`](crate::About::state_version) to today's; `None`
    /// forgets it. Called only if the rule is exported as one that migrates, see [`crate::export_rule`].
    ///
    /// # Errors
    /// Why it cannot. The state stays as it was, and the key's inputs are set aside until a version comes
    /// that can.
    fn migrate(&self, from_version: u32, _key: &str, _state: &[u8]) -> Result<Option<Self::State>> {
        Err(Error::new(format!("this version of the rule cannot read states of version {from_version}")))
    }
}

/// What can be a rule's state: anything that derives `Clone, Default, Serialize, Deserialize`.
///
/// `Clone`, because an input that fails leaves the state as it was before. Its default stands for a key that nothing
/// is known of: a state equal to it is not kept. Floating point numbers that are not finite cannot be kept (JSON
/// has none): an input that leaves one behind is set aside.
pub trait State: Clone + Default + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Default + Serialize + DeserializeOwned + 'static> State for T {}
