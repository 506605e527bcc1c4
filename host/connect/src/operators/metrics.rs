//! The status, as Prometheus reads it (<https://prometheus.io/docs/practices/naming/>).

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::view::{PluginState, PluginView, StatusView};

/// Labels and a value.
type Sample<'a, const N: usize> = ([(&'static str, &'a str); N], u64);

/// The metrics of `status`, in the OpenMetrics text format.
pub(super) fn encode(status: StatusView) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(StatusView);

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        host(&self.0, &mut out)?;
        rules(&self.0, &mut out)?;
        sinks(&self.0, &mut out)
    }
}

fn host(status: &StatusView, out: &mut Out<'_>) -> fmt::Result {
    let intake = &status.intake;
    out.gauge("carpe_build_info", "The host's version", [([("version", status.version.as_str())], 1)])?;
    out.gauge("carpe_ready", "Whether the host takes events", [([], u64::from(status.ready))])?;
    out.counter("carpe_events", "Events by what the host did with them", [
        ([("outcome", "accepted")], intake.accepted),
        ([("outcome", "repeated")], intake.repeated),
        ([("outcome", "refused")], intake.refused),
    ])?;
    let actions = status.actions.iter().map(|(outcome, count)| ([("outcome", outcome.as_str())], *count));
    out.counter("carpe_actions", "Actions by what became of them", actions)?;
    out.gauge("carpe_intake_bytes", "Bytes of events that wait to be handled", [([], intake.waiting_bytes)])?;
    out.gauge("carpe_intake_limit_events", "Events that may wait", [([], intake.limit_events)])?;
    out.gauge("carpe_intake_limit_bytes", "Bytes of events that may wait", [([], intake.limit_bytes)])?;
    out.gauge("carpe_journal_bytes", "What the journal takes", [([], status.journal.bytes)])?;
    out.gauge("carpe_journal_start", "The first position that is kept", [([], status.journal.start)])?;
    out.gauge("carpe_journal_end", "One past the last position", [([], status.journal.end)])?;
    out.gauge("carpe_dead_letters", "Inputs that are set aside now", [([], status.dead_letters)])?;

    let intake = [([("queue", "intake"), ("name", "")], intake.waiting_events)].into_iter();
    let of_rules = rules_by_name(status).into_iter().map(|(rule, plugin)| {
        ([("queue", "rule"), ("name", rule)], plugin.queue)
    });
    let of_sinks = status.sinks.iter().map(|sink| {
        ([("queue", "sink"), ("name", sink.name.as_str())], sink.waiting)
    });
    out.gauge("carpe_queue_depth", "What waits, by queue", intake.chain(of_rules).chain(of_sinks))
}

fn rules(status: &StatusView, out: &mut Out<'_>) -> fmt::Result {
    let states = status.plugins.iter().flat_map(|plugin| {
        PluginState::ALL.map(|state| {
            let labels = [("rule", plugin.rule.as_str()), ("file", &plugin.file), ("state", state.as_str())];
            (labels, u64::from(plugin.state == state))
        })
    });
    out.gauge("carpe_plugin_state", "1 for the state that a plugin is in", states)?;

    let rules = rules_by_name(status);
    let each = |value: fn(&PluginView) -> u64| rules.iter().map(move |(rule, plugin)| ([("rule", *rule)], value(plugin)));
    let reloads = rules.iter().flat_map(|(rule, plugin)| {
        [
            ([("rule", *rule), ("result", "ok")], plugin.reloads_ok),
            ([("rule", *rule), ("result", "refused")], plugin.reloads_refused),
        ]
    });
    out.counter("carpe_reloads", "New versions of a plugin, by result", reloads)?;
    out.counter("carpe_moments", "Moments that occurred", each(|rule| rule.moments))?;
    out.counter("carpe_inputs", "Inputs that were handled", each(|rule| rule.inputs))?;
    out.counter("carpe_batches", "Calls of a rule", each(|rule| rule.batches))?;
    out.counter("carpe_set_aside", "Inputs that were set aside", each(|rule| rule.set_aside))?;
    out.counter("carpe_traps", "Traps, and calls that ran out of time", each(|rule| rule.traps))?;
    out.counter("carpe_log_lines_dropped", "Log lines of a rule beyond its limit", each(|rule| rule.log_dropped))?;
    out.gauge("carpe_rule_behind_entries", "Journal entries not yet read", each(|rule| rule.behind))?;
    out.gauge("carpe_rule_keys", "Keys that have a state", each(|rule| rule.keys))?;
    out.gauge("carpe_rule_timers", "Timers that are set", each(|rule| rule.timers))?;
    out.handle_time(&rules)
}

fn sinks(status: &StatusView, out: &mut Out<'_>) -> fmt::Result {
    let deliveries = status.sinks.iter().flat_map(|sink| {
        let name = sink.name.as_str();
        [("delivered", sink.delivered), ("rejected", sink.rejected), ("failed", sink.failed), ("expired", sink.expired)]
            .map(|(outcome, count)| ([("sink", name), ("outcome", outcome)], count))
    });
    out.counter("carpe_deliveries", "Actions of a sink, by what became of them", deliveries)?;
    let sinks = || status.sinks.iter();
    let retries = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.retries));
    out.counter("carpe_delivery_retries", "Tries after the first", retries)?;
    let in_flight = sinks().map(|sink| ([("sink", sink.name.as_str())], sink.in_flight));
    out.gauge("carpe_deliveries_in_flight", "Tries that are under way", in_flight)
}

/// Each rule once: two files that claim one name would be two samples with the same labels.
fn rules_by_name(status: &StatusView) -> BTreeMap<&str, &PluginView> {
    let mut rules: BTreeMap<&str, &PluginView> = BTreeMap::new();
    for plugin in status.plugins.iter().filter(|plugin| !plugin.rule.is_empty()) {
        let known = rules.entry(&plugin.rule).or_insert(plugin);
        if plugin.inputs > known.inputs {
            *known = plugin;
        }
    }
    rules
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
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn handle_time(&mut self, rules: &BTreeMap<&str, &PluginView>) -> fmt::Result {
        let (name, help) = ("carpe_handle_seconds", "How long a rule's calls take");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (rule, plugin) in rules {
            let time = &plugin.handle;
            let mut buckets = time.buckets.clone();
            // A histogram must end in +Inf.
            if buckets.last().is_none_or(|(most, _)| most.is_finite()) {
                let counted: u64 = buckets.iter().map(|(_, count)| count).sum();
                buckets.push((f64::INFINITY, time.count.saturating_sub(counted)));
            }
            let labels = [("rule", *rule)];
            let mut sample = family.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(time.sum_seconds, time.count, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{HandleView, SinkView};
    use super::*;

    #[test]
    fn every_family_is_written_and_names_are_escaped() {
        let odd = "a\"b\\c\nd";
        let status = StatusView {
            version: "1.2.3".into(),
            ready: true,
            actions: [("delivered".to_owned(), 7)].into(),
            plugins: vec![
                PluginView {
                    rule: odd.into(),
                    file: "odd.wasm".into(),
                    state: PluginState::Active,
                    inputs: 5,
                    traps: 2,
                    handle: HandleView { buckets: vec![(0.001, 3), (0.1, 1)], sum_seconds: 0.5, count: 5 },
                    ..PluginView::default()
                },
                PluginView { rule: odd.into(), file: "twice.wasm".into(), ..PluginView::default() },
            ],
            sinks: vec![SinkView { name: "ops".into(), delivered: 4, waiting: 9, ..SinkView::default() }],
            ..StatusView::default()
        };
        let text = encode(status).unwrap();
        for line in [
            r#"carpe_build_info{version="1.2.3"} 1"#,
            "carpe_ready 1",
            "# TYPE carpe_events counter",
            r#"carpe_events_total{outcome="accepted"} 0"#,
            r#"carpe_actions_total{outcome="delivered"} 7"#,
            r#"carpe_traps_total{rule="a\"b\\c\nd"} 2"#,
            r#"carpe_plugin_state{rule="a\"b\\c\nd",file="odd.wasm",state="active"} 1"#,
            r#"carpe_plugin_state{rule="a\"b\\c\nd",file="twice.wasm",state="loading"} 1"#,
            r#"carpe_queue_depth{queue="sink",name="ops"} 9"#,
            r#"carpe_deliveries_total{sink="ops",outcome="delivered"} 4"#,
            r#"carpe_handle_seconds_bucket{le="0.001",rule="a\"b\\c\nd"} 3"#,
            r#"carpe_handle_seconds_bucket{le="0.1",rule="a\"b\\c\nd"} 4"#,
            r#"carpe_handle_seconds_bucket{le="+Inf",rule="a\"b\\c\nd"} 5"#,
            r#"carpe_handle_seconds_count{rule="a\"b\\c\nd"} 5"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        let mut samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let all = samples.len();
        samples.sort_unstable_by_key(|line| line.rsplit_once(' ').map(|(labels, _)| labels));
        samples.dedup_by_key(|line| line.rsplit_once(' ').map(|(labels, _)| labels));
        assert_eq!(samples.len(), all, "a sample is there twice");
    }
}
