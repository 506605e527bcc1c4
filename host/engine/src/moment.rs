//! Moments: what occurred, why, and what to do about it.

use serde::{Deserialize, Serialize};

use crate::event::{Data, Event, Instant};
use crate::journal::{ActionId, Erasure, MomentId, Position};
use crate::route::Target;

/// Something that occurred and passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moment {
    /// What names it. For programs: the store of checkpoints keeps it beside the rest.
    #[serde(with = "moment_id")]
    pub id: MomentId,
    /// The rule that saw it.
    pub rule: String,
    /// The key that it is about.
    pub key: String,
    /// What sort of moment, e.g. `flood.rising`.
    pub kind: String,
    /// One line for people: why now.
    pub why: String,
    /// Whom or what it concerns; none: the key.
    pub subject: Option<String>,
    /// The facts, as JSON.
    pub data: Option<String>,
    /// The time of the input that made it occur.
    pub time: Instant,
    /// Where the timeline stood then.
    pub now: Instant,
    /// Until when its actions may be taken.
    pub expires: Option<Instant>,
    /// The journal entry that made it occur; for a timer, the one before which it came.
    pub position: Position,
    /// How often what caused it had come back into the host by a route.
    pub hops: u32,
    /// Of two moments of one rule and key with one position, the lower occurred first. Counts up while a host
    /// runs, in steps that leave room to count a moment's actions.
    #[serde(default)]
    pub(crate) order: u64,
    /// What to do about it.
    pub actions: Vec<MomentAction>,
}

/// One thing to do about a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MomentAction {
    /// The idempotency key.
    #[serde(with = "action_id")]
    pub id: ActionId,
    /// What to do, e.g. `notify.residents`.
    pub name: String,
    /// Given back to the rule in the outcome; none: it wants none.
    pub reference: Option<String>,
    /// What the other side needs to know, as JSON.
    pub data: String,
    /// This is a copy, and of what: another sink decides the outcome of the action.
    #[serde(skip)]
    pub(crate) copy: Option<CopyOf>,
}

/// A copy of an action, for a further sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyOf {
    /// The action, under whose key it goes out.
    pub(crate) id: ActionId,
    /// Where it is for.
    pub(crate) to: Target,
}

impl MomentAction {
    /// The key under which it goes out. Back in the host an event is known by it: there a copy has its own.
    pub(crate) fn sent_as(&self) -> ActionId {
        match &self.copy {
            Some(CopyOf { id, to: Target::Sink(_) }) => *id,
            _ => self.id,
        }
    }
}

impl Moment {
    /// Whom or what it concerns.
    pub fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or(&self.key)
    }

    /// Whether it is about what is to be erased.
    pub(crate) fn is_meant_by(&self, erasure: &Erasure) -> bool {
        erasure.rule.as_ref().is_none_or(|rule| *rule == self.rule)
            && (erasure.names(&self.key) || erasure.names(self.subject()))
    }

    /// One of its actions as the CloudEvent that sinks are given, and that a route back into the host
    /// journals.
    pub(crate) fn action_event(&self, action: &MomentAction, event_type: Option<&str>) -> Event {
        let mut event = Event::new(
            action.sent_as().to_string(),
            format!("/carpe/rules/{}", self.rule),
            event_type.unwrap_or(&action.name),
        );
        event.subject =
            Some(self.subject().into()).filter(|subject: &crate::event::Text| !subject.is_empty());
        event.time = Some(self.time);
        event.datacontenttype = Some("application/json".into());
        event.data = Data::Json(action.data.clone());
        let mut extend = |name: &str, value: &str| {
            if !value.is_empty() {
                let plain = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                event.extensions.push((name.into(), plain));
            }
        };
        // Sorted by name, as extensions are.
        extend("carpehop", &(self.hops + 1).to_string());
        extend("carpekey", &self.key);
        extend("carpemoment", &self.kind);
        extend("carperule", &self.rule);
        extend("carpewhy", &self.why);
        if let Some(expires) = self.expires {
            extend("expirytime", &crate::event::format_instant(expires));
        }
        event
    }
}

/// In hexadecimal for people and programs; nothing at all in the store's format, which was there before ids were.
mod moment_id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::journal::MomentId;

    pub(super) fn serialize<S: Serializer>(id: &MomentId, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(id) } else { ().serialize(serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MomentId, D::Error> {
        if !deserializer.is_human_readable() {
            return <()>::deserialize(deserializer).map(|()| MomentId::default());
        }
        let text = String::deserialize(deserializer)?;
        MomentId::parse(&text).ok_or_else(|| D::Error::custom("not a moment's id: 32 hexadecimal digits"))
    }
}

mod action_id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::journal::ActionId;

    pub(super) fn serialize<S: Serializer>(id: &ActionId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ActionId, D::Error> {
        let text = String::deserialize(deserializer)?;
        ActionId::parse(&text)
            .ok_or_else(|| D::Error::custom("not an idempotency key: 32 hexadecimal digits"))
    }
}
