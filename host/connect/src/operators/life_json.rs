//! What became of moments, in JSON: instants are RFC 3339, data is what it is.

use carpe::{ActionLife, HeldInfo, Instant, LifeStep, MomentAction, MomentLife, format_instant};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The life of a moment: see [`MomentLife`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LifeJson {
    /// The moment's id.
    pub id: String,
    /// The rule that saw it.
    pub rule: String,
    /// The key that it is about.
    pub key: String,
    /// What sort of moment.
    pub kind: String,
    /// Whom or what it concerns.
    pub subject: String,
    /// Why it occurred.
    pub why: String,
    /// How far it has come.
    pub stage: String,
    /// When it occurred.
    pub time: String,
    /// Where the timeline stood then.
    pub now: String,
    /// Until when its actions may be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The facts; only where one moment is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// What to do about it, and what became of that.
    pub actions: Vec<ActionLifeJson>,
}

/// The life of an action.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ActionLifeJson {
    /// Its idempotency key.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it has come.
    pub stage: String,
    /// What the other side needs to know; only where one moment is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// What happened to it, in order.
    pub steps: Vec<LifeStepJson>,
}

/// A step of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct LifeStepJson {
    /// How far it came.
    pub stage: String,
    /// Where the timeline stood.
    pub at: String,
    /// Why; none: that goes without saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Until when it is held, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl LifeJson {
    /// A life; `whole`: with all data.
    pub fn of(life: &MomentLife, whole: bool) -> Self {
        let moment = &life.moment;
        let actions = life.actions.iter().map(|action| {
            let emitted = moment.actions.iter().find(|emitted| emitted.id.to_string() == action.id);
            ActionLifeJson::of(action, emitted.filter(|_| whole))
        });
        LifeJson {
            id: moment.id.to_string(),
            rule: moment.rule.clone(),
            key: moment.key.clone(),
            kind: moment.kind.clone(),
            subject: moment.subject().to_owned(),
            why: moment.why.clone(),
            stage: life.stage.as_str().to_owned(),
            time: format_instant(moment.time),
            now: format_instant(moment.now),
            expires: moment.expires.map(format_instant),
            data: moment.data.as_deref().filter(|_| whole).and_then(raw),
            actions: actions.collect(),
        }
    }
}

impl ActionLifeJson {
    fn of(action: &ActionLife, emitted: Option<&MomentAction>) -> Self {
        ActionLifeJson {
            id: action.id.clone(),
            name: action.name.clone(),
            stage: action.stage().as_str().to_owned(),
            data: emitted.and_then(|emitted| raw(&emitted.data)),
            steps: action.steps.iter().map(LifeStepJson::of).collect(),
        }
    }
}

impl LifeStepJson {
    fn of(step: &LifeStep) -> Self {
        LifeStepJson {
            stage: step.stage.as_str().to_owned(),
            at: format_instant(step.at),
            why: Some(step.why.clone()).filter(|why| !why.is_empty()),
            until: step.until.map(format_instant),
        }
    }
}

/// An action that a guardrail holds: see [`HeldInfo`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct HeldJson {
    /// Its idempotency key, by which it is approved or refused.
    pub id: String,
    /// Its moment's id.
    pub moment: String,
    /// The rule that it comes from.
    pub rule: String,
    /// What sort of moment.
    pub kind: String,
    /// Whom or what the moment is about.
    pub subject: String,
    /// Why it occurred.
    pub why: String,
    /// The action's name.
    pub action: String,
    /// Its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// The guardrail that holds it.
    pub guardrail: String,
    /// Why.
    pub reason: String,
    /// Until when, at most.
    pub until: String,
    /// Until when it may be taken; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// It waits for a person.
    pub for_approval: bool,
}

impl From<HeldInfo> for HeldJson {
    fn from(held: HeldInfo) -> Self {
        HeldJson {
            id: held.id,
            moment: held.moment,
            rule: held.rule,
            kind: held.kind,
            subject: held.subject,
            why: held.why,
            action: held.action,
            data: raw(&held.data),
            guardrail: held.guardrail,
            reason: held.reason,
            until: format_instant(held.until),
            expires: held.expires.map(format_instant),
            for_approval: held.for_approval,
        }
    }
}

/// Something that is muted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct MuteJson {
    /// `rule`, `moment` or `subject`.
    pub sort: String,
    /// Its name; of a subject a hash of it, in hexadecimal.
    pub name: String,
    /// Until when; none: until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why, for people.
    pub why: String,
}

impl MuteJson {
    pub(super) fn of(sort: &str, name: &str, until: Option<Instant>, why: &str) -> Self {
        MuteJson {
            sort: sort.to_owned(),
            name: name.to_owned(),
            until: until.map(format_instant),
            why: why.to_owned(),
        }
    }
}

fn raw(json: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(json.to_owned()).ok()
}
