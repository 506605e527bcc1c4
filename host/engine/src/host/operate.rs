//! What operators do to states, dead letters and traces of people. Each is journaled, and is an input like any other.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Host;
use crate::checkpoint::CheckpointError;
use crate::event::{INSTANT_LIMIT, Instant};
use crate::journal::{Body, Decision, Erasure, Given, InputId, KeyChange, KeyImage, Position};
use crate::pipeline::checkpointer::given;
use crate::pipeline::intake::SubmitError;
use crate::pipeline::keys::KeyState;
use crate::pipeline::lane::DeadLetter;
use crate::pipeline::runtime::Rule;
use crate::words::words;

/// How many keys one call of [`Host::change_keys`] may change.
pub const KEYS_AT_ONCE: usize = 10_000;

/// An input that a rule could not handle.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct DeadLetterInfo {
    /// What names it, in hexadecimal.
    pub id: String,
    /// The rule.
    pub rule: String,
    /// The key that the input was about.
    pub key: String,
    /// The journal entry; for a timer, the one before which it came.
    pub position: u64,
    /// The timer's name, if it was one.
    pub timer: Option<String>,
    /// Why.
    pub reason: String,
    /// The guest's functions, innermost first, if it trapped.
    pub backtrace: Vec<String>,
    /// Where the timeline stood.
    pub now: Instant,
}

/// A key of a rule: see [`Host::keys`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key.
    pub key: String,
    /// What the rule keeps for it.
    pub state: Option<Vec<u8>>,
    /// The version of its format.
    pub state_version: u32,
    /// Timers that are set: when they are due, and their names.
    pub timers: Vec<(Instant, String)>,
}

impl KeyInfo {
    pub(crate) fn of(key: &str, state: &KeyState) -> Self {
        KeyInfo {
            key: key.to_owned(),
            state: state.state.as_deref().map(<[u8]>::to_vec),
            state_version: state.state_version,
            timers: state.timers.iter().map(|timer| (timer.due, timer.name.to_string())).collect(),
        }
    }
}

/// Why something that an operator asked for was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// It cannot be done so.
    #[error("{reason}")]
    Refused {
        /// Why not, and what to do.
        reason: String,
    },
    /// It could not be journaled.
    #[error("it could not be journaled")]
    Journal(#[from] SubmitError),
    /// The checkpoints cannot be read.
    #[error("the checkpoints cannot be read")]
    Checkpoint(#[from] CheckpointError),
}

pub(super) fn refused(reason: impl Into<String>) -> OperateError {
    OperateError::Refused { reason: reason.into() }
}

// ---- states ----

impl Host {
    /// The state of a rule's key; none if it has none. Waits for the end of a batch that is being handled.
    pub fn state(&self, rule: &str, key: &str) -> Option<Vec<u8>> {
        self.key(rule, key)?.state
    }

    /// A key of a rule; none if the rule does not remember it. Waits for the end of a batch that is being handled.
    pub fn key(&self, rule: &str, key: &str) -> Option<KeyInfo> {
        let rule = self.0.registry.rule(rule)?;
        let lane = Rule::lane_of(key, rule.lanes.len());
        let lane = rule.lanes.get(lane)?.lock();
        lane.keys.get(key).map(|state| KeyInfo::of(key, state))
    }

    /// The keys of a rule after `after` by their bytes, sorted, at most `limit`. Waits for the end of batches that are
    /// being handled, and copies.
    pub fn keys(&self, rule: &str, after: Option<&str>, limit: usize) -> Vec<KeyInfo> {
        self.keys_page(rule, after, limit, usize::MAX).0
    }

    /// The same, and no more once those that were taken have `bytes` of names, states and timers together: so a page
    /// of large states does not take all memory. And whether there are more.
    pub fn keys_page(
        &self,
        rule: &str,
        after: Option<&str>,
        limit: usize,
        bytes: usize,
    ) -> (Vec<KeyInfo>, bool) {
        let Some(rule) = self.0.registry.rule(rule) else { return (Vec::new(), false) };
        let mut names = Vec::new();
        for lane in &rule.lanes {
            let lane = lane.lock();
            let named = lane.keys.iter().map(|(key, _)| key);
            names.extend(named.filter(|key| after.is_none_or(|after| key.as_str() > after)).cloned());
        }
        let mut more = limit < names.len();
        if more {
            names.select_nth_unstable(limit);
            names.truncate(limit);
        }
        names.sort_unstable();
        let (mut page, mut taken) = (Vec::new(), 0);
        for key in names {
            if taken >= bytes {
                more = true;
                break;
            }
            let Some(info) = self.key(&rule.name, &key) else { continue };
            let timers: usize = info.timers.iter().map(|(_, name)| name.len() + size_of::<Instant>()).sum();
            taken += info.key.len() + info.state.as_ref().map_or(0, Vec::len) + timers;
            page.push(info);
        }
        (page, more)
    }

    /// All keys of a rule, sorted: see [`Host::keys`]. For tests and tools.
    pub fn states(&self, rule: &str) -> Vec<KeyInfo> {
        self.keys(rule, None, usize::MAX)
    }

    /// Rules that run or ran, with how many keys each remembers.
    pub fn rules(&self) -> Vec<(String, usize)> {
        let keys = |rule: &Rule| rule.lanes.iter().map(|lane| lane.keys.load(Ordering::Relaxed)).sum();
        self.0.registry.rules().iter().map(|rule| (rule.name.clone(), keys(rule))).collect()
    }

    /// Replaces what is remembered of keys, or has it forgotten, state and timers: inputs of the rule, handled in order
    /// with all others. Returns the position of the first. Blocks until they are durable.
    ///
    /// # Errors
    /// [`OperateError`]: the rule is not known, or a key breaks its limits; then none is changed.
    pub fn change_keys(
        &self,
        rule: &str,
        changes: Vec<(String, Option<KeyImage>)>,
    ) -> Result<Position, OperateError> {
        let known = self.0.registry.rule(rule);
        let known = known.ok_or_else(|| OperateError::NotFound { what: format!("rule `{rule}`") })?;
        if changes.len() > KEYS_AT_ONCE {
            return Err(refused(format!(
                "{} keys are more than {KEYS_AT_ONCE} at once: do it in parts",
                changes.len()
            )));
        }
        let version = self.0.registry.version(rule);
        let limits = version.as_ref().map(|version| version.limits.clone()).unwrap_or_default();
        for (key, image) in changes.iter().filter_map(|(key, image)| Some((key, image.as_ref()?))) {
            let state = image.state.as_ref().map_or(0, Vec::len);
            if state > limits.state_bytes {
                let most = limits.state_bytes;
                return Err(refused(format!(
                    "the state of `{key}` has {state} bytes, more than `state_bytes` of {most}"
                )));
            }
            if image.timers.len() > limits.timers_per_key {
                let most = limits.timers_per_key;
                return Err(refused(format!("`{key}` has more timers than `timers_per_key` of {most}")));
            }
            if image.timers.iter().any(|(name, due)| name.len() > 256 || *due >= INSTANT_LIMIT) {
                return Err(refused(format!(
                    "a timer of `{key}` has a name of over 256 bytes, or is due past 2^53 ms"
                )));
            }
            let newest = version.as_ref().map_or(u32::MAX, |version| version.description.state_version);
            if image.state_version > newest {
                let from = image.state_version;
                return Err(refused(format!(
                    "the state of `{key}` has format {from}, the rule's is {newest}"
                )));
            }
        }
        let bodies = changes
            .into_iter()
            .map(|(key, to)| Body::KeyChange(Box::new(KeyChange { rule: known.name.clone(), key, to })));
        Ok(self.0.shared.intake.append_wait(bodies.collect())?)
    }
}

// ---- dead letters ----

impl Host {
    /// Inputs that were set aside, the latest last, at most `limit` for each rule.
    pub fn dead_letters(&self, limit: usize) -> Vec<DeadLetterInfo> {
        let mut letters = Vec::new();
        for rule in self.0.registry.rules() {
            let care = rule.care();
            let skipped = care.letters.len().saturating_sub(limit);
            letters.extend(care.letters.iter().skip(skipped).map(|letter| info(&rule.name, letter)));
        }
        letters
    }

    /// A dead letter, and its input, if that is still kept.
    ///
    /// # Errors
    /// [`OperateError`]: there is no such letter, or the checkpoints cannot be read.
    pub fn dead_letter(&self, id: &str) -> Result<(DeadLetterInfo, Option<Given>), OperateError> {
        let wanted = InputId::parse(id).ok_or_else(|| no_letter(id))?;
        let find = |rule: Arc<Rule>| {
            let letter = rule.care().letters.iter().find(|letter| letter.input.id == wanted).cloned()?;
            Some((rule, letter))
        };
        let (rule, letter) =
            self.0.registry.rules().into_iter().find_map(find).ok_or_else(|| no_letter(id))?;
        Ok((info(&rule.name, &letter), self.input_of(&rule, &letter)?))
    }

    fn input_of(&self, rule: &Rule, letter: &DeadLetter) -> Result<Option<Given>, OperateError> {
        let shared = &self.0.shared;
        let kept = match &shared.checkpoints {
            Some(store) => store.given(&rule.name, &letter.input)?,
            None => None,
        };
        Ok(kept.or_else(|| given(&*shared.journal, &letter.input)))
    }

    /// Gives a dead letter again, as a new input of its rule. Returns its position. Blocks until that is durable.
    ///
    /// # Errors
    /// [`OperateError`]: there is no such letter, its rule does not run, or its input is not kept any more.
    pub fn give_again(&self, id: &str) -> Result<Position, OperateError> {
        self.close_letter(id, |rule, letter| {
            if self.0.registry.version(&rule.name).is_none() {
                return Err(refused(format!(
                    "the rule `{}` does not run: put its plugin back first",
                    rule.name
                )));
            }
            let given = self
                .input_of(rule, letter)?
                .ok_or_else(|| refused("its journal entry is not kept any more: it can only be dropped"))?;
            Ok(Decision::GivenAgain { input: letter.input.clone(), key: letter.key.clone(), given })
        })
    }

    /// Drops a dead letter. Blocks until that is durable.
    ///
    /// # Errors
    /// [`OperateError`]: there is no such letter.
    pub fn drop_letter(&self, id: &str) -> Result<Position, OperateError> {
        self.close_letter(id, |_, letter| Ok(Decision::Dropped { input: letter.input.clone() }))
    }

    fn close_letter(
        &self,
        id: &str,
        decide: impl FnOnce(&Rule, &DeadLetter) -> Result<Decision, OperateError>,
    ) -> Result<Position, OperateError> {
        let shared = &self.0.shared;
        let wanted = InputId::parse(id).ok_or_else(|| no_letter(id))?;
        let take = |rule: Arc<Rule>| {
            let mut care = rule.care();
            let place = care.letters.iter().position(|letter| letter.input.id == wanted)?;
            let letter = care.letters.remove(place)?;
            // From here on the decision may be in the journal, whatever a checkpoint says.
            care.closing.push(shared.journal.end());
            drop(care);
            Some((rule, letter))
        };
        let (rule, letter) =
            self.0.registry.rules().into_iter().find_map(take).ok_or_else(|| no_letter(id))?;
        let decided = decide(&rule, &letter).and_then(|decision| {
            let body = Body::Decision { rule: rule.name.clone(), decision: Box::new(decision) };
            Ok(shared.intake.append_wait(vec![body])?)
        });
        let mut care = rule.care();
        care.closing.pop();
        match &decided {
            Ok(_) => {
                care.letter_bytes = care.letter_bytes.saturating_sub(letter.bytes);
                care.new_letters.retain(|new| new.input.id != wanted);
                care.closed_letters.push(letter.input);
                rule.dirty.store(true, Ordering::Release);
            }
            Err(_) => care.letters.push_back(letter),
        }
        decided
    }
}

fn no_letter(id: &str) -> OperateError {
    OperateError::NotFound { what: format!("dead letter `{id}`") }
}

fn info(rule: &str, letter: &DeadLetter) -> DeadLetterInfo {
    DeadLetterInfo {
        id: letter.input.id.to_string(),
        rule: rule.to_owned(),
        key: letter.key.clone(),
        position: letter.input.position,
        timer: letter.input.timer.clone(),
        reason: letter.reason.clone(),
        backtrace: letter.backtrace.clone(),
        now: letter.now,
    }
}

// ---- erasure ----

impl Host {
    /// Has all traces of a subject, or of the key of one rule, erased. State, timers, waiting actions and dead letters go
    /// at once; journal, bases and checkpoints hold nothing of them within the time that
    /// [`Retention::erase_within`](crate::Retention::erase_within) says, or soon if it is to be done `now`. Returns the
    /// position of the wish, which holds a hash of the name, not the name. Blocks until that is durable.
    ///
    /// # Errors
    /// If it could not be journaled.
    pub fn erase(&self, erasure: &Erasure, now: bool) -> Result<Position, OperateError> {
        let shared = &self.0.shared;
        // First: an outcome that came after the wish would bring the key back.
        shared.outbox.erase(erasure);
        shared.lives.erase(erasure);
        let (reply, result) = std::sync::mpsc::sync_channel(1);
        let (listed, wish) = (Arc::clone(shared), erasure.clone());
        shared.intake.append(
            vec![Body::ErasureAsked(Box::new(erasure.clone()))],
            Box::new(move |done| {
                if let Ok(position) = &done {
                    let mut erasures = listed.erasures.write().unwrap_or_else(PoisonError::into_inner);
                    erasures.push((*position, listed.intake.last_instant(), wish));
                }
                drop(reply.send(done));
            }),
        );
        let position = result.recv().unwrap_or(Err(SubmitError::Stopped))?;
        // What a rule that lags emitted meanwhile.
        shared.outbox.erase(erasure);
        shared.lives.erase(erasure);
        for rule in self.0.registry.rules() {
            let mut care = rule.care();
            let (gone, kept) = std::mem::take(&mut care.letters)
                .into_iter()
                .partition(|letter| shared.is_erased(&rule.name, letter));
            care.letters = kept;
            care.new_letters.retain(|letter| !shared.is_erased(&rule.name, letter));
            let gone: Vec<DeadLetter> = Vec::from(gone as std::collections::VecDeque<_>);
            if !gone.is_empty() {
                care.letter_bytes = care.letters.iter().map(|letter| letter.bytes).sum();
                care.closed_letters.extend(gone.into_iter().map(|letter| letter.input));
                rule.dirty.store(true, Ordering::Release);
            }
        }
        if now {
            self.0.keeping.erase_now();
        }
        tracing::info!(position, now, "an erasure was asked for");
        Ok(position)
    }
}

impl OperateError {
    /// It and its causes, in one line for people.
    pub fn describe(&self) -> String {
        words(self)
    }
}
