//! The sandbox against guests that behave and guests that do not.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic as tests do")]

mod calls;
mod columns;
mod guest;
mod limits;
mod loading;
mod wasi;

use std::sync::{Arc, LazyLock, Mutex};

use carpe::Limits;
use carpe::rule::Description;
use carpe::sandbox::{CallError, GuestLog, Instance, LogLevel, Sandbox, SandboxOptions};

use self::guest::Guest;

/// One for all tests: it has no state that they could share.
static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    Sandbox::new(SandboxOptions { max_instances: 100, ..SandboxOptions::default() }).expect("sandbox")
});

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl GuestLog for Log {
    fn line(&self, level: LogLevel, text: &str) {
        self.0.lock().unwrap().push(format!("{level:?}: {text}"));
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.memory_bytes = 1 << 20;
    limits.table_elements = 100;
    limits.handle_cpu_ms = 60;
    limits.init_cpu_ms = 60;
    limits.effects_bytes = 64 << 10;
    limits
}

fn start_with(guest: &Guest, limits: &Limits, log: Arc<Log>) -> Result<(Instance, Description), CallError> {
    SANDBOX.load(&guest.build()).expect("loads").instantiate("{}", limits, log)
}

fn start(guest: &Guest) -> Result<Instance, CallError> {
    start_with(guest, &limits(), Arc::default()).map(|(instance, _)| instance)
}
