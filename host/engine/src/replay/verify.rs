//! Comparing what bases and checkpoints hold with what the journal comes to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Serialize;

use super::fold::Fold;
use super::{ReplayError, ReplayOptions, Source};
use crate::checkpoint::rows::Rows;
use crate::checkpoint::{Checkpoint, CheckpointStore, base};
use crate::data_folder::DataFolder;
use crate::journal::{ActionId, Body, FileJournal, FileJournalOptions, Position};
use crate::pipeline::keys::KeyState;

/// How many differences are told.
const TOLD: usize = 100;

/// What was compared, and what differs.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Where the fold began.
    pub from: Position,
    /// One past the journal's last entry.
    pub until: Position,
    /// Journal entries whose checksums were looked at: all that are kept.
    pub entries: u64,
    /// Bases that were compared.
    pub bases: usize,
    /// Rules whose checkpoints were compared; a backup has none.
    pub rules: usize,
    /// Keys that were compared, in bases and checkpoints.
    pub keys: u64,
    /// Entries that were erased: what they had come to cannot be compared.
    pub erased: u64,
    /// The first differences; none: all is as it should be.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub differing: u64,
}

/// Something that is not what the journal comes to.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Where it was found: `checkpoint`, or a base.
    pub place: String,
    /// The rule.
    pub rule: String,
    /// The key, if it is about one.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// Reads all of a data folder that no host uses, and folds the journal from the oldest base again: each later base, and
/// the checkpoints, must hold what that comes to.
///
/// # Errors
/// [`ReplayError`]: the folder is in use, or so damaged that nothing can be compared.
pub fn verify(options: &ReplayOptions) -> Result<Verified, ReplayError> {
    DataFolder::look(&options.data_dir)?;
    let _lock = DataFolder::open(&options.data_dir)?;
    let mut source = Source::open(options)?;
    // Every byte, before anything is computed from it.
    let checked = FileJournalOptions { verify: true, ..FileJournalOptions::default() };
    drop(FileJournal::open_read_only(&source.folder.journal, checked)?);
    let mut verified = Verified { from: source.from, until: source.journal.end(), ..Verified::default() };
    verified.entries = verified.until - source.journal.start();
    let mut places: Vec<(String, Rows)> = Vec::new();
    for base in source.bases()?.iter().filter(|base| base.position > source.from) {
        places.push((format!("the base at {}", base.position), base::load(&base.path)?));
        verified.bases += 1;
    }
    // A backup has none: its first start makes them.
    if source.checkpoints().exists() {
        let checkpoints = checkpoints(source.checkpoints())?;
        verified.rules = checkpoints.rules.len();
        places.push(("checkpoint".to_owned(), checkpoints));
    }
    let outcomes = Outcomes::of(&source)?;
    for rule in source.rules() {
        let mut seen: Vec<(&str, Checkpoint)> = Vec::new();
        for (place, rows) in &mut places {
            match rows.rules.remove(&rule) {
                Some(checkpoint) => seen.push((place, checkpoint)),
                None if place == "checkpoint" => verified.differ(place, &rule, None, "it has none"),
                None => {}
            }
        }
        let position =
            |checkpoint: &Checkpoint| checkpoint.record.as_ref().map_or(0, |record| record.position);
        seen.sort_by_key(|(_, checkpoint)| position(checkpoint));
        let open = source.rows.rules.get(&rule).map(open_in).unwrap_or_default();
        let mut actions: BTreeMap<ActionId, Position> = open;
        let mut fold = source.fold(&rule)?;
        for (place, checkpoint) in seen {
            fold.run_to(position(&checkpoint), &mut |moment| {
                actions.extend(moment.actions.iter().map(|action| (action.id, moment.position)));
            })?;
            verified.erased = verified.erased.max(fold.erased);
            verified.compare(place, &fold, &checkpoint);
            verified.compare_open(place, &rule, &actions, &checkpoint, &outcomes);
        }
    }
    for (place, rows) in places {
        for rule in rows.rules.keys() {
            verified.differ(&place, rule, None, "the journal does not know the rule");
        }
    }
    Ok(verified)
}

fn checkpoints(folder: &Path) -> Result<Rows, ReplayError> {
    let store = CheckpointStore::open(folder)?;
    let mut rows = Rows::default();
    for rule in store.standing()?.rules.into_keys() {
        if let Some(checkpoint) = store.load(&rule)? {
            rows.rules.insert(rule, checkpoint);
        }
    }
    Ok(rows)
}

fn open_in(checkpoint: &Checkpoint) -> BTreeMap<ActionId, Position> {
    let moments = checkpoint.open.iter();
    moments.flat_map(|moment| moment.actions.iter().map(|action| (action.id, moment.position))).collect()
}

/// The outcomes that the journal holds, and whether something was erased: then actions may be gone without one.
struct Outcomes {
    of: HashMap<ActionId, Position>,
    erased: bool,
}

impl Outcomes {
    fn of(source: &Source<'_>) -> Result<Self, ReplayError> {
        let mut outcomes = Outcomes { of: HashMap::new(), erased: false };
        source.journal.visit_decisions(source.journal.start(), &mut |entry| {
            match &entry.body {
                Body::Outcome(outcome) => {
                    outcomes.of.insert(outcome.id, entry.position);
                }
                Body::ErasureAsked(_) | Body::Erased => outcomes.erased = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(outcomes)
    }
}

impl Verified {
    fn differ(&mut self, place: &str, rule: &str, key: Option<&str>, what: &str) {
        self.differing += 1;
        if self.differences.len() < TOLD {
            self.differences.push(Difference {
                place: place.to_owned(),
                rule: rule.to_owned(),
                key: key.map(str::to_owned),
                what: what.to_owned(),
            });
        }
    }

    fn compare(&mut self, place: &str, fold: &Fold<'_>, checkpoint: &Checkpoint) {
        let rule = fold.rule();
        let kept: HashMap<&str, &KeyState> =
            checkpoint.keys.iter().map(|(key, state)| (&**key, state)).collect();
        self.keys += kept.len() as u64;
        let mut seen = 0;
        for (key, state) in fold.keys() {
            match kept.get(&**key) {
                Some(known) if *known == state => seen += 1,
                Some(known) => {
                    seen += 1;
                    self.differ(place, rule, Some(key), &difference(known, state));
                }
                None => self.differ(place, rule, Some(key), "it is missing"),
            }
        }
        if seen < kept.len() {
            let folded: BTreeSet<&str> = fold.keys().map(|(key, _)| &**key).collect();
            for key in kept.keys().filter(|key| !folded.contains(*key)) {
                self.differ(place, rule, Some(key), "the journal does not come to it");
            }
        }
        let Some(record) = &checkpoint.record else { return };
        // Limits of time are wider in a fold, so components and configurations are what is compared.
        let of = |version: Option<&crate::journal::VersionRecord>| {
            version.map(|version| (version.component, version.configuration.clone()))
        };
        if of(record.version.as_ref()) != of(fold.version()) {
            self.differ(place, rule, None, "another version of the rule had decided last");
        }
        // Some may have been given again or dropped since.
        let folded: BTreeSet<_> = fold.letters().into_iter().map(|letter| letter.input.id).collect();
        let kept = checkpoint.letters.iter().filter(|letter| letter.input.position < record.position);
        let kept: BTreeSet<_> = kept.map(|letter| letter.input.id).filter(|id| !fold.is_closed(id)).collect();
        if folded != kept {
            let what = format!("{} dead letters, where the journal comes to {}", kept.len(), folded.len());
            self.differ(place, rule, None, &what);
        }
    }

    /// An action is open if it was emitted and has no outcome yet.
    fn compare_open(
        &mut self,
        place: &str,
        rule: &str,
        emitted: &BTreeMap<ActionId, Position>,
        checkpoint: &Checkpoint,
        outcomes: &Outcomes,
    ) {
        let open = open_in(checkpoint);
        for (id, position) in &open {
            if !emitted.contains_key(id) {
                let what =
                    format!("an open action {id} of position {position}, which the journal does not come to");
                self.differ(place, rule, None, &what);
            }
        }
        for (id, position) in emitted {
            if !open.contains_key(id) && !outcomes.of.contains_key(id) && !outcomes.erased {
                let what = format!("the action {id} of position {position} has no outcome, but is not open");
                self.differ(place, rule, None, &what);
            }
        }
    }
}

fn difference(kept: &KeyState, folded: &KeyState) -> String {
    if kept.state != folded.state {
        return format!(
            "a state of {} bytes, where the journal comes to another of {}",
            kept.state.as_ref().map_or(0, |state| state.len()),
            folded.state.as_ref().map_or(0, |state| state.len())
        );
    }
    if kept.timers != folded.timers {
        return format!(
            "{} timers, where the journal comes to {} others",
            kept.timers.len(),
            folded.timers.len()
        );
    }
    "the same state, but another version of its format, or another count of timers".to_owned()
}
