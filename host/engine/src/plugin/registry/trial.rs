//! What becomes of a content that settled: it is compiled, tried, and switched to, or refused with words.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Monotonic;

use super::{Candidate, Registry, Step};
use crate::pipeline::program::Version;
use crate::pipeline::runtime::Quota;
use crate::pipeline::timeline::wall_clock;
use crate::plugin::load::{TrialError, on_trial};
use crate::status::PluginState;
use crate::words::words;

enum Claim {
    Granted,
    /// It runs already, with the same configuration.
    AsBefore,
    Refused(String),
}

impl Registry {
    pub(super) fn try_candidate(&self, file: &str, candidate: Candidate) {
        let begun = Monotonic::now();
        self.enter_step(file, Step::Compiled);
        let compiled = self.sandbox.load(&candidate.component).map_err(TrialError::from);
        self.enter_step(file, Step::Tried);
        let tried = compiled
            .and_then(|component| on_trial(component, &candidate.manifest, &self.limits, &self.budget));
        let (rule, version) = match tried {
            Ok((rule, version)) => (rule, Arc::new(version)),
            Err(error) => return self.refuse(file, words(&error)),
        };
        if let Some(sink) = candidate.manifest.routes.iter().find_map(|route| self.missing_sink(route)) {
            return self.refuse(file, format!("a route leads to the sink `{sink}`, which is not configured: add [sink.{sink}] to the host's configuration"));
        }
        match self.claim(file, &rule, &version, &candidate) {
            Claim::Granted => {}
            Claim::AsBefore => {
                self.adopt_manifest(&rule, &candidate);
                return;
            }
            Claim::Refused(reason) => return self.refuse(file, reason),
        }
        if let Err(reason) = self.keep_component(&version, &candidate.component) {
            return self.refuse(file, reason);
        }
        self.adopt_manifest(&rule, &candidate);
        match self.switch(&rule, Some(Arc::clone(&version)), candidate.manifest.start) {
            Ok(at) => {
                let took = begun.elapsed();
                tracing::info!(
                    plugin = file,
                    rule,
                    version = version.description.version,
                    at,
                    milliseconds = took.as_millis(),
                    "a plugin is active"
                );
                self.reloads_ok.fetch_add(1, Ordering::Relaxed);
                // Once more: before a rule's first switch there is nothing that could keep it.
                self.adopt_manifest(&rule, &candidate);
                let mut state = self.lock();
                if let Some(plugin) = state.plugins.get_mut(file) {
                    plugin.active = Some(version);
                    plugin.enter(PluginState::Active, None);
                    plugin.since = wall_clock();
                }
            }
            Err(reason) => self.refuse(file, format!("the switch could not be journaled: {reason}")),
        }
    }

    fn enter_step(&self, file: &str, step: Step) {
        if let Some(plugin) = self.lock().plugins.get_mut(file) {
            plugin.step = Some((step, Monotonic::now()));
        }
    }

    fn missing_sink(&self, route: &crate::route::Route) -> Option<String> {
        match &route.to {
            crate::route::Target::Sink(name) if !self.shared.outbox.has_sink(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether a file may run a rule: no other file does, and the rule's state can be read.
    fn claim(&self, file: &str, rule: &str, version: &Arc<Version>, candidate: &Candidate) -> Claim {
        let mut state = self.lock();
        let holder = state.plugins.iter().find(|(other, plugin)| {
            other.as_str() != file
                && plugin.rule.as_deref() == Some(rule)
                && plugin.state != PluginState::Removed
        });
        if let Some((other, _)) = holder.filter(|(_, plugin)| plugin.leaving.is_none()) {
            let reason = format!(
                "the rule `{rule}` is already run by `{other}.wasm`: remove one of the two files, or give this one a \
                 name of its own with `name = \"...\"` in {file}.toml"
            );
            if let Some(plugin) = state.plugins.get_mut(file) {
                plugin.crowded_out = Some(candidate.clone());
            }
            return Claim::Refused(reason);
        }
        let moved_from = holder.map(|(other, _)| other.clone());
        let runs_it = moved_from.as_deref().unwrap_or(file);
        let before = state.plugins.get(runs_it).and_then(|plugin| plugin.active.clone());
        let renamed =
            state.plugins.get(file).and_then(|plugin| plugin.rule.clone()).filter(|known| known != rule);
        if let Some(known) = renamed {
            return Claim::Refused(format!(
                "it is the rule `{rule}`, but this file has run the rule `{known}`: put it into a file of its own, or \
                 remove this file first"
            ));
        }
        let running = state.rules.get(rule).and_then(|known| known.version.clone());
        if let Some(old) = before.as_ref().or(running.as_ref()) {
            let (from, to) = (old.description.state_version, version.description.state_version);
            if to < from || (to > from && !version.has_migration) {
                return Claim::Refused(format!(
                    "its state has format {to}, the running version's has {from}: {}",
                    if to < from {
                        "state cannot be brought back"
                    } else {
                        "export `carpe:rule/migration` to bring it along"
                    }
                ));
            }
        }
        let as_before = running.as_ref().or(before.as_ref()).is_some_and(|old| old.record == version.record);
        let rest = state.rules.contains_key(rule);
        // The rule goes with a file that is moved, and names that it had before are forgotten.
        state.plugins.retain(|other, plugin| other == file || plugin.rule.as_deref() != Some(rule));
        if let Some(plugin) = state.plugins.get_mut(file) {
            plugin.rule = Some(rule.to_owned());
            plugin.crowded_out = None;
            plugin.active = before.clone();
            if as_before && rest {
                plugin.active = before.or(running);
                plugin.enter(PluginState::Active, None);
                return Claim::AsBefore;
            }
        }
        Claim::Granted
    }

    /// What an operator may change beside the configuration, without a new version.
    fn adopt_manifest(&self, rule: &str, candidate: &Candidate) {
        self.shared.outbox.set_routes(rule, candidate.manifest.routes.clone());
        if let Some(known) = self.lock().rules.get(rule) {
            let limits = candidate.manifest.limits.over(&self.limits);
            let mut care = known.rule.care();
            care.release = candidate.manifest.release.clone();
            care.quota = Quota { keys: limits.keys, state_bytes: limits.total_state_bytes };
        }
    }

    /// Keeps a component by its hash, for as long as a decision may name it.
    fn keep_component(&self, version: &Version, bytes: &[u8]) -> Result<(), String> {
        let Some(folder) = &self.components else { return Ok(()) };
        let path = folder.join(format!("{}.wasm", blake3::Hash::from_bytes(version.record.component)));
        if path.exists() {
            return Ok(());
        }
        let write = || -> std::io::Result<()> {
            let temporary = path.with_extension(format!("{:?}.part", std::thread::current().id()));
            std::fs::write(&temporary, bytes)?;
            std::fs::File::open(&temporary)?.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(folder)?.sync_all()
        };
        write().map_err(|error| format!("the component cannot be kept as {}: {error}", path.display()))
    }
}
