//! What a rule is, and what it wants to be given.

/// What a rule is given and what it may give: the second argument of [`crate::export_rule`].
///
/// Begins with [`on`]. What is said of a subscription (its key, filter and attributes) is said of the latest
/// `on` before it. Name, version and summary are the Cargo package's unless said otherwise.
///
/// ```
/// # use carpe_sdk::prelude::*;
/// let about = on("order.*").keyed_by_data("/order/id").attribute("source")
///     .on("payment.received").keyed_by_attribute("orderid").filter("amount > 0")
///     .moment("order.unpaid")
///     .action("notify.customer").action("order.cancel");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings: Option<String>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) moments: Vec<String>,
    pub(crate) actions: Vec<String>,
    pub(crate) state_version: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subscription {
    pub(crate) event_type: String,
    pub(crate) filter: Option<String>,
    pub(crate) keyed_by: KeyedBy,
    pub(crate) attributes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyedBy {
    Attribute(String),
    Data(String),
    Nothing,
}

/// A rule that says what it is. [`crate::export_rule`] implements it.
pub trait Described {
    /// What it is.
    fn about() -> About;
}

/// The rule is given events of this CloudEvents `type`, keyed by their `subject`. A trailing `*` stands
/// for any rest.
pub fn on(event_type: impl Into<String>) -> About {
    About {
        name: String::new(),
        version: String::new(),
        summary: String::new(),
        settings: None,
        subscriptions: vec![Subscription::new(event_type.into())],
        moments: Vec::new(),
        actions: Vec::new(),
        state_version: 1,
    }
}

impl About {
    /// It is given events of this type too.
    #[must_use]
    pub fn on(mut self, event_type: impl Into<String>) -> Self {
        self.subscriptions.push(Subscription::new(event_type.into()));
        self
    }

    /// Such events are about what a CloudEvents attribute says, e.g. `source`.
    #[must_use]
    pub fn keyed_by_attribute(self, name: impl Into<String>) -> Self {
        self.keyed_by(KeyedBy::Attribute(name.into()))
    }

    /// Such events are about what their JSON data says at a JSON Pointer, e.g. `/order/id`: a string or a whole
    /// number.
    #[must_use]
    pub fn keyed_by_data(self, pointer: impl Into<String>) -> Self {
        self.keyed_by(KeyedBy::Data(pointer.into()))
    }

    /// All such events have one key, whose name is empty.
    #[must_use]
    pub fn keyed_by_nothing(self) -> Self {
        self.keyed_by(KeyedBy::Nothing)
    }

    /// Only such events are given for which this CloudEvents SQL expression is true. The host evaluates it at
    /// a fraction of what a call costs.
    #[must_use]
    pub fn filter(self, expression: impl Into<String>) -> Self {
        self.latest(|subscription| subscription.filter = Some(expression.into()))
    }

    /// Such events come with this CloudEvents attribute, for [`crate::Event::attribute`]. Each costs about a tenth
    /// of a call: ask for what is needed.
    #[must_use]
    pub fn attribute(self, name: impl Into<String>) -> Self {
        self.latest(|subscription| subscription.attributes.push(name.into()))
    }

    /// It may return moments of this kind.
    #[must_use]
    pub fn moment(mut self, kind: impl Into<String>) -> Self {
        self.moments.push(kind.into());
        self
    }

    /// It may return this action.
    #[must_use]
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.actions.push(name.into());
        self
    }

    /// Another name than the package's. State, timers and outcomes belong to it across versions.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// One line for people, instead of the package's description.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// A JSON Schema of the configuration.
    #[must_use]
    pub fn settings(mut self, schema: &serde_json::Value) -> Self {
        self.settings = Some(schema.to_string());
        self
    }

    /// The version of the state's format, 1 unless said otherwise. Let it grow when today's type cannot read what
    /// yesterday's wrote, and export the rule as one that migrates.
    #[must_use]
    pub fn state_version(mut self, version: u32) -> Self {
        self.state_version = version;
        self
    }

    /// Fills in from the Cargo package what was not said.
    #[doc(hidden)]
    #[must_use]
    pub fn of_package(mut self, name: &str, version: &str, description: &str) -> Self {
        for (field, default) in
            [(&mut self.name, name), (&mut self.version, version), (&mut self.summary, description)]
        {
            if field.is_empty() {
                default.clone_into(field);
            }
        }
        self
    }

    fn keyed_by(self, keyed_by: KeyedBy) -> Self {
        self.latest(|subscription| subscription.keyed_by = keyed_by)
    }

    fn latest(mut self, change: impl FnOnce(&mut Subscription)) -> Self {
        // There is one from the start: `on` is the only way to begin.
        if let Some(subscription) = self.subscriptions.last_mut() {
            change(subscription);
        }
        self
    }
}

impl Subscription {
    fn new(event_type: String) -> Self {
        // Without its `type`, an event that a pattern matched could not be told from the others.
        let attributes = if event_type.ends_with('*') { vec!["type".to_owned()] } else { Vec::new() };
        Subscription {
            event_type,
            filter: None,
            keyed_by: KeyedBy::Attribute("subject".to_owned()),
            attributes,
        }
    }
}
