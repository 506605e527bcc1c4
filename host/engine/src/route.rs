//! Where a rule's actions go.

use std::fmt;

use carpe_cesql::Expression;
use serde::{Deserialize, Serialize};

use crate::event::PackedEvent;
use crate::moment::{Moment, MomentAction};
use crate::pipeline::filter::parse_filter;

/// Sends the actions of one name, or of all names with one beginning, somewhere.
///
/// In TOML: `{ action = "lamp.*", sink = "webhook" }`, or, back into the host as an event,
/// `{ action = "lamp.car", host = true, event_type = "lamp.car" }`. With `filter = "subject LIKE 'elbe-%'"` it takes only
/// some of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Route {
    /// An action's name, or the beginning of names with a trailing `*`; `*` alone means every action.
    pub action: String,
    /// Which of them; none: all.
    pub filter: Option<RouteFilter>,
    /// Where such actions go.
    pub to: Target,
}

/// CloudEvents SQL over the event that an action goes out as: its `type` is the action's name, its `subject` the moment's, its
/// `source` names the rule; and there are `carperule`, `carpekey`, `carpemoment`, `carpewhy`. One that cannot be evaluated for an
/// action does not take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFilter(Expression);

impl RouteFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<RouteFilter, String> {
        parse_filter(text).map(RouteFilter)
    }
}

impl fmt::Display for RouteFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a [`Route`] leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Out, through the sink of this name.
    Sink(String),
    /// Back into the host, as an event.
    Host {
        /// The event's type; none: the action's name.
        event_type: Option<String>,
    },
}

impl Route {
    /// A route of all actions of one name, or, with a trailing `*`, of one beginning.
    pub fn new(action: impl Into<String>, to: Target) -> Route {
        Route { action: action.into(), filter: None, to }
    }

    /// Whether it takes an action of a moment.
    pub(crate) fn takes(&self, moment: &Moment, action: &MomentAction) -> bool {
        self.matches(&action.name)
            && self.filter.as_ref().is_none_or(|filter| {
                let event = PackedEvent::from(moment.action_event(action, None));
                filter.0.matches(&event.fields())
            })
    }

    /// Whether it is for actions of this name.
    pub fn matches(&self, action: &str) -> bool {
        match self.action.strip_suffix('*') {
            Some(beginning) => action.starts_with(beginning),
            None => self.action == action,
        }
    }
}

/// A route as it stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    sink: Option<String>,
    host: Option<bool>,
    event_type: Option<String>,
}

impl TryFrom<Written> for Route {
    type Error = RouteError;

    fn try_from(written: Written) -> Result<Self, RouteError> {
        let Written { action, filter, sink, host, event_type } = written;
        let beginning = action.strip_suffix('*').unwrap_or(&action);
        if action.is_empty() || beginning.contains('*') {
            return Err(RouteError::Action(action));
        }
        let filter = filter.map(|filter| RouteFilter::parse(&filter)).transpose();
        let filter = filter.map_err(|reason| RouteError::Filter(action.clone(), reason))?;
        let to = match (sink, host.unwrap_or(false)) {
            (Some(_), true) => return Err(RouteError::TwoTargets(action)),
            (None, false) => return Err(RouteError::NoTarget(action)),
            (Some(_), false) if event_type.is_some() => {
                return Err(RouteError::EventTypeOfSink(action));
            }
            (Some(sink), false) if sink.is_empty() => return Err(RouteError::EmptySink(action)),
            (Some(sink), false) => Target::Sink(sink),
            (None, true) if event_type.as_deref() == Some("") => {
                return Err(RouteError::EmptyEventType(action));
            }
            (None, true) => Target::Host { event_type },
        };
        Ok(Route { action, filter, to })
    }
}

impl From<Route> for Written {
    fn from(Route { action, filter, to }: Route) -> Self {
        let filter = filter.map(|filter| filter.to_string());
        match to {
            Target::Sink(sink) => Written { action, filter, sink: Some(sink), host: None, event_type: None },
            Target::Host { event_type } => {
                Written { action, filter, sink: None, host: Some(true), event_type }
            }
        }
    }
}

/// Why what stands in a file is no route.
#[derive(Debug, thiserror::Error)]
enum RouteError {
    #[error("the route's action `{0}` must be a name, or the beginning of names with one `*` at its end")]
    Action(String),
    #[error("the route of `{0}`: {1}")]
    Filter(String, String),
    #[error("the route of `{0}` leads nowhere: add `sink = \"...\"` or `host = true`")]
    NoTarget(String),
    #[error(
        "the route of `{0}` leads to a sink and to the host: keep one, and write a second route for the other"
    )]
    TwoTargets(String),
    #[error("the route of `{0}` leads to a sink, so `event_type` means nothing: remove it, or `sink`")]
    EventTypeOfSink(String),
    #[error("the route of `{0}` has an empty `sink`: name one")]
    EmptySink(String),
    #[error("the route of `{0}` has an empty `event_type`: remove it to use the action's name")]
    EmptyEventType(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Route, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_pattern_matches_a_name_or_a_beginning() {
        let route = |action: &str| Route::new(action, Target::Sink("s".to_owned()));
        assert!(route("lamp.on").matches("lamp.on"));
        assert!(!route("lamp.on").matches("lamp.on.now"));
        assert!(route("lamp.*").matches("lamp.on"));
        assert!(!route("lamp.*").matches("lamps"));
        assert!(route("*").matches("anything"));
    }

    #[test]
    fn a_filter_sees_what_goes_out() {
        let id = crate::journal::ActionId([7; 16]);
        let action = MomentAction {
            id,
            name: "lamp.on".to_owned(),
            reference: None,
            data: "{}".to_owned(),
            copy: None,
        };
        let moment = Moment {
            id: crate::journal::MomentId([1; 16]),
            rule: "streetlights".to_owned(),
            key: "lamp-7".to_owned(),
            kind: "car.near".to_owned(),
            why: "a car is near".to_owned(),
            subject: None,
            data: None,
            time: 0,
            now: 0,
            expires: None,
            position: 0,
            hops: 0,
            order: 0,
            actions: vec![action.clone()],
        };
        for (filter, takes) in [
            ("type = 'lamp.on' AND subject = 'lamp-7'", true),
            ("source = '/carpe/rules/streetlights' AND carpemoment = 'car.near'", true),
            ("carperule = 'streetlights' AND carpekey LIKE 'lamp-_' AND carpewhy LIKE '%near'", true),
            ("subject = 'lamp-8'", false),
            ("colour = 'red'", false),
            ("NOT EXISTS expirytime", true),
        ] {
            let mut route = Route::new("lamp.*", Target::Sink("s".to_owned()));
            route.filter = Some(RouteFilter::parse(filter).unwrap());
            assert_eq!(route.takes(&moment, &action), takes, "{filter}");
        }
    }

    #[test]
    fn a_route_leads_to_exactly_one_place() {
        assert_eq!(parse("action='a'\nsink='s'").unwrap().to, Target::Sink("s".to_owned()));
        assert_eq!(parse("action='a'\nhost=true").unwrap().to, Target::Host { event_type: None });
        let route = parse("action='a'\nhost=true\nevent_type='t'").unwrap();
        assert_eq!(route.to, Target::Host { event_type: Some("t".to_owned()) });
        assert_eq!(parse(&toml::to_string(&route).unwrap()).unwrap(), route);

        let route = parse("action='a'\nsink='s'\nfilter=\"subject LIKE 'e%'\"").unwrap();
        assert_eq!(parse(&toml::to_string(&route).unwrap()).unwrap(), route);

        for (text, says) in [
            (
                "action='a'\nsink='s'\nfilter='subject ='",
                "the route of `a`: its filter is not CloudEvents SQL: at byte 9 there is the end",
            ),
            ("action='a'\nsink='s'\nfilter='data'", "its filter names `data`"),
            ("action='a'", "leads nowhere"),
            ("action='a'\nhost=false", "leads nowhere"),
            ("action='a'\nsink='s'\nhost=true", "a sink and to the host"),
            ("action='a'\nsink='s'\nevent_type='t'", "`event_type` means nothing"),
            ("action='a'\nsink=''", "empty `sink`"),
            ("action='a'\nhost=true\nevent_type=''", "empty `event_type`"),
            ("action=''\nsink='s'", "must be a name"),
            ("action='a*b'\nsink='s'", "must be a name"),
            ("action='a**'\nsink='s'", "must be a name"),
            ("action='a'\nsnik='s'", "unknown field `snik`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
