//! What operators are shown of plugins and their rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use super::{Plugin, Registry, Step};
use crate::journal::Position;
use crate::pipeline::runtime::{LaneSlot, Rule};
use crate::status::{PluginState, PluginStatus, RuleStatus};

impl Registry {
    /// All plugins, as they are now.
    pub(crate) fn status(&self, positions: &HashMap<String, Position>) -> Vec<PluginStatus> {
        let end = self.shared.journal.end();
        let state = self.lock();
        let status = state.plugins.iter().map(|(file, plugin)| {
            let rule = plugin.rule.as_ref().and_then(|rule| state.rules.get(rule)).map(|known| &known.rule);
            let rest = rule.and_then(|rule| rule.care().resting.clone());
            let mut shown = (plugin.state, plugin.reason.clone());
            if let Some(rest) = rest
                && plugin.active.is_some()
                && plugin.state != PluginState::Removed
            {
                let resting = if rest.quarantine { PluginState::Quarantined } else { plugin.state };
                shown = (resting, Some(rest.reason));
            }
            let active = plugin.active.as_ref();
            PluginStatus {
                file: file.clone(),
                rule: plugin.rule.clone(),
                state: shown.0,
                reason: shown.1,
                since: plugin.since,
                loading: plugin.loading(state.jobs.len()),
                version: active.map(|version| version.description.version.clone()),
                hash: active.map(|version| blake3::Hash::from_bytes(version.record.component).to_string()),
                work: rule.map(|rule| RuleStatus {
                    log_dropped: active.map_or(0, |version| version.log_dropped()),
                    actions: self.shared.outbox.by_rule.of(&rule.name),
                    ..rule_status(rule, positions.get(&rule.name).copied(), end)
                }),
            }
        });
        status.collect()
    }
}

impl Plugin {
    /// How far the newest content is on its way, for people; none: nothing is on its way.
    fn loading(&self, queued: usize) -> Option<String> {
        if let Some((step, since)) = self.step {
            let words = match step {
                Step::Compiled => "its newest content is being compiled",
                Step::Tried => "its newest content is being tried",
            };
            return Some(format!("{words}, for {} s so far", since.elapsed().as_secs()));
        }
        let waits = self.busy && self.next.is_some();
        waits.then(|| format!("its newest content waits to be compiled, among {queued}"))
    }
}

fn rule_status(rule: &Rule, position: Option<Position>, end: Position) -> RuleStatus {
    let position = position.unwrap_or_else(|| rule.position.load(Ordering::Acquire));
    let sum = |count: fn(&LaneSlot) -> usize| rule.lanes.iter().map(count).sum();
    let counters = &rule.counters;
    RuleStatus {
        position,
        behind: end.saturating_sub(position),
        waiting: rule.pending.load(Ordering::Acquire),
        keys: sum(|lane| lane.keys.load(Ordering::Relaxed)),
        timers: sum(|lane| lane.timers.load(Ordering::Relaxed)),
        state_bytes: sum(|lane| lane.state_bytes.load(Ordering::Relaxed)),
        inputs: counters.inputs.load(Ordering::Relaxed),
        batches: counters.histogram().count,
        keyless: counters.keyless.load(Ordering::Relaxed),
        filter_failures: counters.filter_failures.load(Ordering::Relaxed),
        moments: counters.moments.load(Ordering::Relaxed),
        actions: BTreeMap::new(),
        traps: counters.traps.load(Ordering::Relaxed),
        dead_letters: rule.care().letters.len(),
        left_behind: counters.left_behind.load(Ordering::Relaxed),
        log_dropped: 0,
        handle: counters.histogram(),
    }
}
