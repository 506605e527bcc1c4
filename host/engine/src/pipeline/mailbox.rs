//! What the router is told: new groups of the journal, and what is asked of it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::router::Request;
use crate::journal::Entry;

/// How many groups may wait. Past it the router reads the journal itself.
const GROUPS: usize = 256;

#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    groups: VecDeque<Vec<Arc<Entry>>>,
    requests: VecDeque<Request>,
    /// The journal has grown, or a lane has room again.
    nudged: bool,
    /// A group found no room.
    missed: bool,
}

/// What was in the mailbox.
pub(crate) struct Mail {
    pub(crate) groups: VecDeque<Vec<Arc<Entry>>>,
    pub(crate) requests: VecDeque<Request>,
    /// Groups are missing here: they are to be read from the journal.
    pub(crate) missed: bool,
}

impl Mailbox {
    /// A durable group. One that finds no room is dropped: the router sees the gap and reads the journal.
    pub(crate) fn publish(&self, group: Vec<Arc<Entry>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.groups.len() < GROUPS {
            state.groups.push_back(group);
        } else {
            state.missed = true;
        }
        state.nudged = true;
        self.wake.notify_one();
    }

    pub(crate) fn ask(&self, request: Request) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push_back(request);
        self.wake.notify_one();
    }

    pub(crate) fn nudge(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.nudged = true;
        self.wake.notify_one();
    }

    /// Takes what there is, or waits for something, at most for `wait`.
    pub(crate) fn take(&self, wait: Duration) -> Mail {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.groups.is_empty() && state.requests.is_empty() && !state.nudged && !wait.is_zero() {
            state = self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.nudged = false;
        Mail {
            groups: std::mem::take(&mut state.groups),
            requests: std::mem::take(&mut state.requests),
            missed: std::mem::take(&mut state.missed),
        }
    }
}
