//! The other side of a scenario's actions.

use std::sync::{Condvar, Mutex, PoisonError};

use carpe::journal::ActionId;
use carpe::{Answer, Delivery, Reply, Sink};

use crate::tell::PATIENCE;

/// Lets each action wait until the scenario says what became of it.
#[derive(Default)]
pub(crate) struct ScriptedSink {
    waiting: Mutex<Vec<(ActionId, Reply)>>,
    came: Condvar,
}

impl ScriptedSink {
    /// Says what became of an action. `false`: it does not go out.
    pub(crate) fn answer(&self, id: ActionId, answer: Answer) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_not_there =
            |waiting: &mut Vec<(ActionId, Reply)>| waiting.iter().all(|(waits, _)| *waits != id);
        let (mut waiting, _) = self
            .came
            .wait_timeout_while(waiting, PATIENCE, is_not_there)
            .unwrap_or_else(PoisonError::into_inner);
        let Some(place) = waiting.iter().position(|(waits, _)| *waits == id) else { return false };
        let (_, reply) = waiting.swap_remove(place);
        drop(waiting);
        reply.send(answer);
        true
    }

    /// Leaves what still waits without an answer.
    pub(crate) fn leave(&self) {
        let left = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        drop(left);
    }
}

impl Sink for ScriptedSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((delivery.id, reply));
        self.came.notify_all();
    }

    fn concurrency(&self) -> usize {
        usize::MAX
    }
}
