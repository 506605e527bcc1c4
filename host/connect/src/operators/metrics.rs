//! The status, as Prometheus reads it (<https://prometheus.io/docs/practices/naming/>).

use std::collections::BTreeMap;
use std::fmt;

use carpe::status::{
    BreakerState, GuardrailsStatus, PluginState, PluginStatus, RuleStatus, SinkStatus, Status,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Snapshot;

/// Labels and a value.
type Sample<'a, const N: usize> = ([(&'static str, &'a str); N], u64);

/// The metrics of a snapshot, in the OpenMetrics text format.
pub(super) fn encode(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        let rules = rules_by_name(&self.host.plugins);
        host(self, &mut out)?;
        keeping(&self.host, &mut out)?;
        queues(self, &rules, &mut out)?;
        plugins(&self.host.plugins, &mut out)?;
        of_rules(&rules, &mut out)?;
        guardrails(&self.host.guardrails, &mut out)?;
        sinks(self, &mut out)
    }
}

fn host(Snapshot { host, .. }: &Snapshot, out: &mut Out<'_>) -> fmt::Result {
    let (intake, journal) = (&host.intake, &host.journal);
    out.gauge("carpe_build_info", "The host's version", [([("version", host.version)], 1)])?;
    out.gauge("carpe_ready", "Whether the host takes events", [([], u64::from(host.ready))])?;
    out.counter(
        "carpe_events",
        "Events by what the host did with them",
        [
            ([("outcome", "accepted")], intake.accepted),
            ([("outcome", "repeated")], intake.repeated),
            ([("outcome", "refused")], intake.refused),
        ],
    )?;
    let actions = host.actions.iter().map(|(outcome, count)| ([("outcome", *outcome)], *count));
    out.counter("carpe_actions", "Actions by what became of them", actions)?;
    out.gauge("carpe_open_actions", "Actions without an outcome", [([], size(host.open_actions))])?;
    let reloads = [([("result", "ok")], host.reloads_ok), ([("result", "refused")], host.reloads_refused)];
    out.counter("carpe_reloads", "New versions of plugins, by result", reloads)?;
    out.gauge(
        "carpe_intake_bytes",
        "Bytes of events that wait to be journaled",
        [([], size(intake.waiting_bytes))],
    )?;
    out.gauge("carpe_intake_limit_events", "Events that may wait", [([], size(intake.limit_events))])?;
    out.gauge("carpe_intake_limit_bytes", "Bytes of events that may wait", [([], size(intake.limit_bytes))])?;
    out.gauge("carpe_journal_bytes", "What the journal takes", [([], journal.bytes)])?;
    out.gauge(
        "carpe_journal_failed",
        "Whether the journal takes nothing more",
        [([], u64::from(journal.failed.is_some()))],
    )?;
    out.gauge("carpe_journal_start", "The first position that is kept", [([], journal.start)])?;
    out.gauge("carpe_journal_end", "One past the last position", [([], journal.end)])?;
    out.gauge("carpe_worker_threads", "Threads that rules run on", [([], size(host.threads))])?;
    out.gauge("carpe_dead_letters", "Inputs that are set aside now", [([], host.dead_letters)])
}

/// What a start does, and what is kept of the past.
fn keeping(host: &Status, out: &mut Out<'_>) -> fmt::Result {
    let (recovery, kept) = (&host.recovery, &host.kept);
    out.seconds(
        "carpe_recovery_load_seconds",
        "Until states were in memory, at the start",
        recovery.load_ms,
    )?;
    if let Some(caught_up) = recovery.caught_up_ms {
        let help = "Until rules had caught up, at the start; absent: they have not";
        out.seconds("carpe_recovery_caught_up_seconds", help, caught_up)?;
    }
    out.gauge("carpe_recovery_entries", "Entries to read again at the start", [([], recovery.entries)])?;
    let help = "What a start after a crash now would take";
    out.seconds("carpe_recovery_next_seconds", help, recovery.next_ms)?;
    out.seconds("carpe_recovery_target_seconds", "What that is to stay below", recovery.target_ms)?;
    out.gauge(
        "carpe_checkpoints_failed",
        "Whether no checkpoints can be written",
        [([], u64::from(recovery.checkpoints_failed.is_some()))],
    )?;
    out.gauge("carpe_bases", "Bases from which the journal can be computed again", [([], kept.bases)])?;
    out.gauge("carpe_base_position", "The position of the newest", [([], kept.base_position)])?;
    out.gauge(
        "carpe_keeping_failed",
        "Whether what is old, or to be forgotten, could not be removed",
        [([], u64::from(kept.failed.is_some()))],
    )?;
    out.gauge("carpe_erasures_pending", "Erasures that are not done", [([], size(kept.erasures.len()))])?;
    let lagging = kept.lagging.iter().map(|rule| ([("rule", rule.as_str())], 1));
    out.gauge("carpe_rule_lagging", "1 for a rule that will be left behind if it lags on", lagging)
}

fn queues(snapshot: &Snapshot, rules: &Rules<'_>, out: &mut Out<'_>) -> fmt::Result {
    let host = &snapshot.host;
    let intake = [([("queue", "intake"), ("name", "")], size(host.intake.waiting_events))].into_iter();
    let of_rules =
        rules.iter().map(|(rule, work)| ([("queue", "rule"), ("name", *rule)], size(work.waiting)));
    let of_sinks =
        host.sinks.iter().map(|sink| ([("queue", "sink"), ("name", sink.name.as_str())], size(sink.waiting)));
    out.gauge("carpe_queue_depth", "What waits, by queue", intake.chain(of_rules).chain(of_sinks))
}

fn plugins(plugins: &[PluginStatus], out: &mut Out<'_>) -> fmt::Result {
    let states = plugins.iter().flat_map(|plugin| {
        PluginState::ALL.map(|state| {
            let rule = plugin.rule.as_deref().unwrap_or_default();
            let labels = [("rule", rule), ("file", &plugin.file), ("state", state.as_str())];
            (labels, u64::from(plugin.state == state))
        })
    });
    out.gauge("carpe_plugin_state", "1 for the state that a plugin is in", states)
}

fn of_rules(rules: &Rules<'_>, out: &mut Out<'_>) -> fmt::Result {
    let each = |value: fn(&RuleStatus) -> u64| {
        rules.iter().map(move |(rule, work)| ([("rule", *rule)], value(work)))
    };
    out.counter("carpe_moments", "Moments that occurred", each(|work| work.moments))?;
    let actions = rules.iter().flat_map(|(rule, work)| {
        work.actions.iter().map(|(outcome, count)| ([("rule", *rule), ("outcome", *outcome)], *count))
    });
    out.counter("carpe_rule_actions", "Actions of a rule, by what became of them", actions)?;
    out.counter("carpe_inputs", "Inputs that were handled", each(|work| work.inputs))?;
    out.counter("carpe_batches", "Calls of a rule", each(|work| work.batches))?;
    out.counter("carpe_traps", "Traps and broken limits", each(|work| work.traps))?;
    out.counter(
        "carpe_left_behind_entries",
        "Journal entries that a rule was never given, since it lagged too far",
        each(|work| work.left_behind),
    )?;
    out.counter(
        "carpe_log_lines_dropped",
        "Log lines of a rule beyond its limit",
        each(|work| work.log_dropped),
    )?;
    out.gauge(
        "carpe_rule_dead_letters",
        "Inputs of a rule that are set aside now",
        each(|work| size(work.dead_letters)),
    )?;
    out.gauge("carpe_rule_behind_entries", "Journal entries not yet read", each(|work| work.behind))?;
    out.gauge("carpe_rule_keys", "Keys that a rule remembers", each(|work| size(work.keys)))?;
    out.gauge("carpe_rule_state_bytes", "What it remembers of them", each(|work| size(work.state_bytes)))?;
    out.gauge("carpe_rule_timers", "Timers that are set", each(|work| size(work.timers)))?;
    out.handle_time(rules)
}

fn guardrails(status: &GuardrailsStatus, out: &mut Out<'_>) -> fmt::Result {
    let actions = status.guardrails.iter().flat_map(|guardrail| {
        [("held", guardrail.held), ("withheld", guardrail.withheld)].map(|(verdict, count)| {
            ([("guardrail", guardrail.name.as_str()), ("kind", guardrail.kind), ("verdict", verdict)], count)
        })
    });
    out.counter("carpe_guardrail_actions", "Actions that a guardrail held or withheld", actions)?;
    out.gauge("carpe_held_actions", "Actions that guardrails hold now", [([], size(status.held))])?;
    out.gauge("carpe_held_limit_actions", "Actions that may be held", [([], size(status.max_held))])?;
    out.gauge("carpe_guardrail_counts", "Subjects that guardrails count for", [([], size(status.counts))])?;
    out.gauge("carpe_guardrail_limit_counts", "How many may be", [([], size(status.max_counts))])?;
    out.gauge("carpe_consents", "Yeses and noes that are known", [([], size(status.consents))])?;
    out.gauge("carpe_consents_limit", "How many may be", [([], size(status.max_consents))])?;
    out.gauge("carpe_mutes", "What is muted by command", [([], size(status.mutes.len()))])
}

fn sinks(snapshot: &Snapshot, out: &mut Out<'_>) -> fmt::Result {
    let sinks = || snapshot.host.sinks.iter();
    let deliveries = sinks().flat_map(|sink| {
        let name = sink.name.as_str();
        [
            ("delivered", sink.delivered),
            ("rejected", sink.rejected),
            ("failed", sink.failed),
            ("expired", sink.expired),
        ]
        .map(|(outcome, count)| ([("sink", name), ("outcome", outcome)], count))
    });
    out.counter("carpe_deliveries", "Actions of a sink, by what became of them", deliveries)?;
    let retries = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.retries));
    out.counter("carpe_delivery_retries", "Tries after the first", retries)?;
    let missed = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.missed));
    out.counter("carpe_deliveries_missed", "Actions whose moment expired before they were taken", missed)?;
    let set_aside = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.set_aside));
    out.counter("carpe_deliveries_set_aside", "Actions that found no room, of the failed", set_aside)?;
    let most = sinks().map(|sink| ([("sink", sink.name.as_str())], size(sink.max_waiting)));
    out.gauge("carpe_sink_limit_actions", "Actions that may wait for a sink", most)?;
    let open = |sink: &SinkStatus| u64::from(sink.breaker.state == BreakerState::Open);
    let breakers = sinks().map(|sink| ([("sink", sink.name.as_str())], open(sink)));
    out.gauge("carpe_sink_breaker_open", "Whether a sink is only probed", breakers)?;
    let opened = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.breaker.opened));
    out.counter("carpe_sink_breaker_openings", "How often a sink's circuit breaker opened", opened)?;
    let failures = sinks().map(|sink| ([("sink", sink.name.as_str())], u64::from(sink.breaker.failures)));
    out.gauge("carpe_sink_failures_in_a_row", "Tries that failed since the last answer", failures)?;
    let in_flight = sinks().map(|sink| ([("sink", sink.name.as_str())], size(sink.in_flight)));
    out.gauge("carpe_deliveries_in_flight", "Tries that are under way", in_flight)?;
    let stopped = sinks().map(|sink| {
        ([("sink", sink.name.as_str())], u64::from(snapshot.stopped_sinks.contains_key(&sink.name)))
    });
    out.gauge("carpe_sink_stopped", "Whether nothing is sent to a sink any more", stopped)
}

type Rules<'a> = BTreeMap<&'a str, &'a RuleStatus>;

/// Each rule once: two files that claim one name would be two samples with the same labels.
fn rules_by_name(plugins: &[PluginStatus]) -> Rules<'_> {
    plugins.iter().filter_map(|plugin| Some((plugin.rule.as_deref()?, plugin.work.as_ref()?))).collect()
}

fn size(count: usize) -> u64 {
    count as u64
}

/// Families of samples. A counter's name gets its `_total` from the format.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<'s, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            match N {
                0 => family.encode_gauge(&value)?,
                _ => family.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    /// One duration, given in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "monitoring needs no more than a float holds")]
    fn seconds(&mut self, name: &str, help: &str, milliseconds: u64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        family.encode_gauge(&(milliseconds as f64 / 1e3))
    }

    fn handle_time(&mut self, rules: &Rules<'_>) -> fmt::Result {
        let (name, help) = ("carpe_handle_seconds", "How long a rule's calls take");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (rule, work) in rules {
            // The status has them cumulated; they are cumulated again here. A histogram ends in +Inf.
            let mut below = 0;
            let ends = work.handle.buckets.iter().copied().chain([(f64::INFINITY, work.handle.count)]);
            let buckets: Vec<(f64, u64)> = ends
                .map(|(most, cumulated)| {
                    let here = cumulated.saturating_sub(below);
                    below = below.max(cumulated);
                    (most, here)
                })
                .collect();
            let labels = [("rule", *rule)];
            let mut sample = family.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(work.handle.sum_seconds, below, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Rule(&'static str, RuleStatus);

    impl Collector for Rule {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            of_rules(&[(self.0, &self.1)].into(), &mut Out(encoder))
        }
    }

    #[test]
    fn a_rule_is_written_with_its_name_escaped() {
        let mut work = RuleStatus::default();
        work.traps = 2;
        work.actions.insert("expired", 3);
        work.handle.buckets = vec![(0.001, 3), (0.1, 4)];
        work.handle.sum_seconds = 0.5;
        work.handle.count = 5;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Rule("a\"b\\c\nd", work)));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE carpe_traps counter",
            r#"carpe_traps_total{rule="a\"b\\c\nd"} 2"#,
            r#"carpe_rule_actions_total{rule="a\"b\\c\nd",outcome="expired"} 3"#,
            r#"carpe_handle_seconds_bucket{le="0.001",rule="a\"b\\c\nd"} 3"#,
            r#"carpe_handle_seconds_bucket{le="0.1",rule="a\"b\\c\nd"} 4"#,
            r#"carpe_handle_seconds_bucket{le="+Inf",rule="a\"b\\c\nd"} 5"#,
            r#"carpe_handle_seconds_sum{rule="a\"b\\c\nd"} 0.5"#,
            r#"carpe_handle_seconds_count{rule="a\"b\\c\nd"} 5"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
