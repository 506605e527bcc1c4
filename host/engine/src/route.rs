//! Where a rule's actions go.

use serde::{Deserialize, Serialize};

/// Sends the actions of one name, or of all names with one beginning, somewhere.
///
/// In TOML: `{ action = "lamp.*", sink = "webhook" }`, or, back into the host as an event,
/// `{ action = "lamp.car", host = true, event_type = "lamp.car" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Route {
    /// An action's name, or the beginning of names with a trailing `*`; `*` alone means every action.
    pub action: String,
    /// Where such actions go.
    pub to: Target,
}

/// Where a [`Route`] leads.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    sink: Option<String>,
    host: Option<bool>,
    event_type: Option<String>,
}

impl TryFrom<Written> for Route {
    type Error = RouteError;

    fn try_from(written: Written) -> Result<Self, RouteError> {
        let Written { action, sink, host, event_type } = written;
        let beginning = action.strip_suffix('*').unwrap_or(&action);
        if action.is_empty() || beginning.contains('*') {
            return Err(RouteError::Action(action));
        }
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
        Ok(Route { action, to })
    }
}

impl From<Route> for Written {
    fn from(Route { action, to }: Route) -> Self {
        match to {
            Target::Sink(sink) => Written { action, sink: Some(sink), host: None, event_type: None },
            Target::Host { event_type } => Written { action, sink: None, host: Some(true), event_type },
        }
    }
}

/// Why what stands in a file is no route.
#[derive(Debug, thiserror::Error)]
enum RouteError {
    #[error("the route's action `{0}` must be a name, or the beginning of names with one `*` at its end")]
    Action(String),
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
        let route = |action: &str| Route { action: action.to_owned(), to: Target::Sink("s".to_owned()) };
        assert!(route("lamp.on").matches("lamp.on"));
        assert!(!route("lamp.on").matches("lamp.on.now"));
        assert!(route("lamp.*").matches("lamp.on"));
        assert!(!route("lamp.*").matches("lamps"));
        assert!(route("*").matches("anything"));
    }

    #[test]
    fn a_route_leads_to_exactly_one_place() {
        assert_eq!(parse("action='a'\nsink='s'").unwrap().to, Target::Sink("s".to_owned()));
        assert_eq!(parse("action='a'\nhost=true").unwrap().to, Target::Host { event_type: None });
        let route = parse("action='a'\nhost=true\nevent_type='t'").unwrap();
        assert_eq!(route.to, Target::Host { event_type: Some("t".to_owned()) });
        assert_eq!(parse(&toml::to_string(&route).unwrap()).unwrap(), route);

        for (text, says) in [
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
