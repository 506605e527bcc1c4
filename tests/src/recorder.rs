//! A sink that keeps what it is given.

use std::sync::{Arc, Mutex};

use carpe::{Answer, Data, Delivery, Reply, Sink};

/// Keeps all deliveries, and takes each of them.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<Delivery>>);

impl Recorder {
    /// A recorder that nothing was delivered to.
    pub fn new() -> Arc<Recorder> {
        Arc::default()
    }

    /// What was delivered so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Recorder {
    fn deliver(&self, delivery: Delivery, reply: Reply) {
        self.0.lock().unwrap().push(delivery);
        reply.send(Answer::Delivered(Data::Absent));
    }
}
