//! How much an instance may hold.

use wasmtime::{ResourceLimiter, Result};

/// Core instances of one component: a Python component has about thirty.
pub(super) const CORE_INSTANCES: u32 = 64;

/// Memories of one component. Known toolchains make one.
pub(super) const MEMORIES: u32 = 4;

/// Tables of one component. Known toolchains make up to three.
pub(super) const TABLES: u32 = 16;

/// Counts what one instance holds, all its memories together, and refuses more than its limits.
pub(super) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    memory_bytes: usize,
    refused: Option<Refused>,
}

/// What an instance asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Memory,
    Table,
}

impl Limiter {
    pub(super) fn new(memory_limit: usize, table_limit: usize) -> Limiter {
        Limiter { memory_limit, table_limit, memory_bytes: 0, refused: None }
    }

    /// Bytes of linear memory. Memory never shrinks.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The last thing refused since this was last forgotten. A guest can survive a refusal, so it is no
    /// error by itself; but it tells why a guest trapped afterwards.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    pub(super) fn forget_refused(&mut self) {
        self.refused = None;
    }
}

// A growth that is allowed here and fails afterwards, for want of memory in the machine, stays
// counted: `memory_grow_failed` is not tied to one request, and a guest could talk the count down.
impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > self.table_limit {
            self.refused = Some(Refused::Table);
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        // The component's own counts as one.
        CORE_INSTANCES as usize + 1
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together_and_a_refusal_is_remembered() {
        let mut limiter = Limiter::new(3 << 16, 10);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert_eq!(limiter.refused(), None);
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!((limiter.memory_bytes(), limiter.refused()), (3 << 16, Some(Refused::Memory)));
    }

    #[test]
    fn a_failed_growth_cannot_talk_the_count_down() {
        let mut limiter = Limiter::new(2 << 16, 10);
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        limiter.memory_grow_failed(wasmtime::format_err!("beyond the type")).unwrap();
        assert_eq!(limiter.memory_bytes(), 1 << 16);
        assert!(!limiter.memory_growing(1 << 16, 4 << 16, Some(2 << 16)).unwrap());
        assert_eq!((limiter.memory_bytes(), limiter.refused()), (1 << 16, None));
    }

    #[test]
    fn each_table_has_the_limit() {
        let mut limiter = Limiter::new(0, 10);
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, 11, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Table));
    }
}
