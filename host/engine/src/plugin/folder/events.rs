//! Events from the operating system: they only say that it is time to look.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::super::scan::FolderIdentity;
use super::super::signal::Signal;

/// Wakes the thread when something happens in the folder that it is armed for.
pub(super) struct Events {
    signal: Arc<Signal>,
    armed: Option<Armed>,
    /// That there are none has been said.
    told: bool,
}

struct Armed {
    identity: FolderIdentity,
    /// The folder itself was removed or moved, and with it what is watched.
    lost: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

impl Events {
    pub(super) fn new(signal: Arc<Signal>) -> Self {
        Events { signal, armed: None, told: false }
    }

    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Watches this folder, unless it does already. Returns words for the operator if that fails, once.
    pub(super) fn arm(&mut self, folder: &Path, identity: FolderIdentity, poll: Duration) -> Option<String> {
        let holds = |armed: &Armed| armed.identity == identity && !armed.lost.load(Ordering::Acquire);
        if self.armed.as_ref().is_some_and(holds) {
            return None;
        }
        self.armed = None;
        match self.watch(folder, identity) {
            Ok(armed) => {
                self.armed = Some(armed);
                self.told = false;
                None
            }
            Err(_) if self.told => None,
            Err(error) => {
                self.told = true;
                Some(format!(
                    "the system tells of no changes here ({error}): it is looked at every {poll:?} instead"
                ))
            }
        }
    }

    fn watch(&self, folder: &Path, identity: FolderIdentity) -> notify::Result<Armed> {
        let lost = Arc::new(AtomicBool::new(false));
        let (signal, is_lost, path) = (Arc::clone(&self.signal), Arc::clone(&lost), folder.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = &event {
                if is_reading(event.kind) {
                    return;
                }
                if !event.kind.is_create() && event.paths.contains(&path) {
                    is_lost.store(true, Ordering::Release);
                }
            }
            // An error means that events were lost: all the more reason to look.
            signal.wake();
        })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Armed { identity, lost, _watcher: watcher })
    }
}

/// Each look opens the folder; were that a reason to look, it would never rest.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind};

    use super::*;

    #[test]
    fn looking_is_no_reason_to_look() {
        for reading in [
            AccessKind::Any,
            AccessKind::Read,
            AccessKind::Open(AccessMode::Any),
            AccessKind::Close(AccessMode::Read),
        ] {
            assert!(is_reading(EventKind::Access(reading)), "{reading:?}");
        }
        for change in [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Any),
            EventKind::Any,
        ] {
            assert!(!is_reading(change), "{change:?}");
        }
    }
}
