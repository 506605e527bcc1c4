//! Decides what has settled in the folder. Pure: it is given what was seen, and when.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::folder::FolderChange;
use super::folder_error::FolderError;
use super::manifest::Manifest;
use super::scan::{Look, Sighting, Snapshot, Taken, component_path, manifest_path};

/// How long the first scan waits for files that do not come to rest.
const FIRST_SCAN_PATIENCE: Duration = Duration::from_secs(5);

/// What to do next about what was seen.
#[expect(clippy::large_enum_variant, reason = "there are few, and none is kept")]
pub(super) enum Step {
    Tell(FolderChange),
    /// Read this plugin's files as they were seen, and give what came of it to [`Settling::took`].
    Read {
        stem: String,
        seen: Sighting,
    },
}

/// Follows each plugin's files from sight to sight. What stays the same for a while has settled;
/// that holds for a file's absence too, since many tools remove a file before they write it anew.
pub(super) struct Settling {
    folder: PathBuf,
    settle: Duration,
    /// After how long a file that could not be read is tried again.
    retry: Duration,
    plugins: BTreeMap<String, Tracked>,
    /// The file system that the plugins were on.
    device: Option<u64>,
    missing: Option<FolderError>,
    too_many: bool,
    first_scan: FirstScan,
}

struct Tracked {
    seen: Sighting,
    /// When it has settled, or is to be tried again; none: there is nothing to do until it changes.
    due: Option<Instant>,
    told: Told,
}

/// What was last said of a plugin, so that it is not said twice.
#[derive(PartialEq)]
enum Told {
    Nothing,
    Content {
        component: [u8; 32],
        manifest: Result<Option<[u8; 32]>, FolderError>,
    },
    Unreadable(FolderError),
    /// Its manifest stands alone.
    Alone,
}

enum FirstScan {
    Ahead,
    Waiting { plugins: BTreeSet<String>, until: Instant },
    Done,
}

impl Settling {
    pub(super) fn new(folder: PathBuf, settle: Duration, retry: Duration) -> Self {
        Settling {
            folder,
            settle,
            retry,
            plugins: BTreeMap::new(),
            device: None,
            missing: None,
            too_many: false,
            first_scan: FirstScan::Ahead,
        }
    }

    pub(super) fn knows(&self, stem: &str) -> bool {
        self.plugins.contains_key(stem)
    }

    /// Takes in what was seen at `now`; the steps are in the order of the plugins' names.
    pub(super) fn observe(&mut self, now: Instant, look: Result<Snapshot, FolderError>) -> Vec<Step> {
        let mut steps = Vec::new();
        match look.and_then(|snapshot| self.mounted(snapshot)) {
            Err(error) => self.note_missing(now, error, &mut steps),
            Ok(snapshot) => {
                self.note_back(now, &mut steps);
                self.note_left_out(snapshot.left_out, &mut steps);
                self.device = Some(snapshot.device);
                self.note_changes(now, snapshot.plugins, snapshot.at);
                self.note_settled(now, &mut steps);
            }
        }
        steps
    }

    /// Takes in what came of reading a plugin's files.
    pub(super) fn took(&mut self, now: Instant, stem: &str, taken: Taken) -> Option<FolderChange> {
        let tracked = self.plugins.get_mut(stem)?;
        let (component, manifest) = match taken {
            Taken::Changed => {
                tracked.due = Some(now + self.settle);
                return None;
            }
            Taken::Failed(error) => {
                tracked.due = Some(now + self.retry);
                return tracked.tell_unreadable(stem, error);
            }
            Taken::Content { component, manifest } => (component, manifest),
        };
        tracked.due = match (&manifest, &tracked.seen.manifest) {
            // It looked well and could not be read: nothing may change when it can be.
            (Err(_), Look::File(_)) => Some(now + self.retry),
            _ => None,
        };
        let hash = *blake3::hash(&component).as_bytes();
        let printed = match &manifest {
            Ok(text) => Ok(text.as_ref().map(|text| *blake3::hash(text).as_bytes())),
            Err(error) => Err(error.clone()),
        };
        let told = Told::Content { component: hash, manifest: printed };
        if tracked.told == told {
            return None;
        }
        tracked.told = told;
        let manifest = match manifest {
            Ok(Some(text)) => Manifest::parse(&manifest_path(&self.folder, stem), &text),
            Ok(None) => Ok(Manifest::default()),
            Err(error) => Err(error.into()),
        };
        let path = component_path(&self.folder, stem);
        Some(FolderChange::Settled { file_stem: stem.to_owned(), path, component, hash, manifest })
    }

    /// True once: when all that the first scan saw has settled, or will not within a few seconds.
    pub(super) fn first_scan_done(&mut self, now: Instant) -> bool {
        let FirstScan::Waiting { plugins, until } = &mut self.first_scan else {
            return false;
        };
        plugins.retain(|stem| self.plugins.get(stem).is_some_and(|tracked| tracked.is_unsettled()));
        let done = plugins.is_empty() || now >= *until;
        if done {
            self.first_scan = FirstScan::Done;
        }
        done
    }

    /// When there is something to do even if nothing changes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.missing.is_some() {
            return None;
        }
        let first_scan = match &self.first_scan {
            FirstScan::Waiting { until, .. } => Some(*until),
            FirstScan::Ahead | FirstScan::Done => None,
        };
        self.plugins.values().filter_map(|tracked| tracked.due).chain(first_scan).min()
    }

    /// A disk that is unmounted leaves an empty folder in its place: that is no order to remove all.
    fn mounted(&self, snapshot: Snapshot) -> Result<Snapshot, FolderError> {
        let moved = self.device.is_some_and(|device| device != snapshot.device);
        if moved && snapshot.plugins.is_empty() && !self.plugins.is_empty() {
            return Err(FolderError::Unmounted { path: self.folder.clone() });
        }
        Ok(snapshot)
    }

    fn note_missing(&mut self, now: Instant, error: FolderError, steps: &mut Vec<Step>) {
        if let FirstScan::Ahead = self.first_scan {
            self.first_scan = FirstScan::Waiting { plugins: BTreeSet::new(), until: now };
        }
        if self.missing.as_ref() != Some(&error) {
            self.missing = Some(error.clone());
            steps.push(Step::Tell(FolderChange::FolderMissing { path: self.folder.clone(), error }));
        }
    }

    fn note_back(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if self.missing.take().is_none() {
            return;
        }
        steps.push(Step::Tell(FolderChange::FolderBack { path: self.folder.clone() }));
        // Nobody looked meanwhile, so what was about to settle begins again.
        for tracked in self.plugins.values_mut().filter(|tracked| tracked.due.is_some()) {
            tracked.due = Some(now + self.settle);
        }
    }

    fn note_left_out(&mut self, left_out: usize, steps: &mut Vec<Step>) {
        let too_many = left_out > 0;
        if too_many && !self.too_many {
            let words = format!(
                "there are more plugins than may be (left out: {left_out}): remove some, or raise the limit"
            );
            steps.push(Step::Tell(FolderChange::Note { path: self.folder.clone(), words }));
        }
        self.too_many = too_many;
    }

    fn note_changes(&mut self, now: Instant, mut seen: BTreeMap<String, Sighting>, at: SystemTime) {
        let due = Some(now + self.settle);
        // What was at rest before anybody looked need not be waited for.
        let rested = match self.first_scan {
            FirstScan::Ahead => at.checked_sub(self.settle),
            FirstScan::Waiting { .. } | FirstScan::Done => None,
        };
        if let FirstScan::Ahead = self.first_scan {
            let until = now + self.settle + FIRST_SCAN_PATIENCE;
            self.first_scan = FirstScan::Waiting { plugins: seen.keys().cloned().collect(), until };
        }
        for (stem, tracked) in &mut self.plugins {
            let sighting = seen.remove(stem).unwrap_or(Sighting::NOTHING);
            if tracked.seen != sighting {
                tracked.seen = sighting;
                tracked.due = due;
            }
        }
        let new = seen.into_iter().map(|(stem, seen)| {
            let due = if rested.is_some_and(|rested| seen.rests_since(rested)) { Some(now) } else { due };
            (stem, Tracked { seen, due, told: Told::Nothing })
        });
        self.plugins.extend(new);
    }

    fn note_settled(&mut self, now: Instant, steps: &mut Vec<Step>) {
        for (stem, tracked) in &mut self.plugins {
            if tracked.due.is_some_and(|due| due <= now) {
                tracked.settled(stem, &self.folder, steps);
            }
        }
        self.plugins.retain(|_, tracked| tracked.due.is_some() || tracked.seen != Sighting::NOTHING);
    }
}

impl Tracked {
    fn is_unsettled(&self) -> bool {
        self.due.is_some() && self.told == Told::Nothing
    }

    fn settled(&mut self, stem: &str, folder: &Path, steps: &mut Vec<Step>) {
        match &self.seen.component {
            // It stays due until its content is told.
            Look::File(_) => steps.push(Step::Read { stem: stem.to_owned(), seen: self.seen.clone() }),
            Look::Fault(error) => {
                self.due = None;
                let error = error.clone();
                steps.extend(self.tell_unreadable(stem, error).map(Step::Tell));
            }
            Look::Absent => {
                self.due = None;
                if matches!(self.told, Told::Content { .. } | Told::Unreadable(_)) {
                    steps.push(Step::Tell(FolderChange::Removed { file_stem: stem.to_owned() }));
                    self.told = Told::Nothing;
                }
                if self.seen.manifest != Look::Absent && self.told != Told::Alone {
                    let words = format!("there is no {stem}.wasm beside it: put one there, or remove it");
                    steps.push(Step::Tell(FolderChange::Note { path: manifest_path(folder, stem), words }));
                    self.told = Told::Alone;
                }
            }
        }
    }

    fn tell_unreadable(&mut self, stem: &str, error: FolderError) -> Option<FolderChange> {
        let told = Told::Unreadable(error.clone());
        if self.told == told {
            return None;
        }
        self.told = told;
        Some(FolderChange::Unreadable { file_stem: stem.to_owned(), error })
    }
}
