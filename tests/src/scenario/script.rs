//! The other side of a scenario's actions.

use std::sync::Mutex;

use carpe::journal::ActionId;
use carpe::{Answer, Delivery, Reply, Sink};

use crate::wait_for;

/// Lets each action wait until the scenario says what became of it.
#[derive(Default)]
pub(super) struct ScriptedSink(Mutex<Vec<(ActionId, Reply)>>);

impl ScriptedSink {
    /// Says what became of an action. Panics if it doesn't go out.
    pub(super) fn answer(&self, id: ActionId, answer: Answer) {
        let reply = wait_for("the action that is to be answered", || {
            let mut waiting = self.0.lock().unwrap();
            let place = waiting.iter().position(|(waits, _)| *waits == id)?;
            Some(waiting.swap_remove(place).1)
        });
        reply.send(answer);
    }

    /// Leaves what still waits without an answer. A reply holds on to its host.
    pub(super) fn leave(&self) {
        let left = std::mem::take(&mut *self.0.lock().unwrap());
        drop(left);
    }
}

impl Sink for ScriptedSink {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        self.0.lock().unwrap().push((delivery.id, reply));
    }

    fn concurrency(&self) -> usize {
        usize::MAX
    }
}
