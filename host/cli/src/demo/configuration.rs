//! What the host and its rules are told: `carpe.toml`, and `NAME.toml` beside each plugin.

use super::city::{homes, junctions, machines, rivers, street, vending, videos, viewers, walkers};
use super::enterprise::Enterprises;

/// A rule of the city.
pub(super) struct Rule {
    /// Its name, and that of its component.
    pub(super) name: &'static str,
    /// What stands in `NAME.toml`.
    pub(super) settings: fn() -> String,
}

/// The example rules. Nine: the two of the street lights are one idea.
pub(super) const RULES: [Rule; 10] = [
    Rule { name: "streetlights-cars", settings: street::settings },
    Rule { name: "streetlights", settings: String::new },
    Rule { name: "traffic-lights", settings: junctions::settings },
    Rule { name: "flood-alert", settings: rivers::settings },
    Rule { name: "medication", settings: homes::settings },
    Rule { name: "shop-nearby", settings: walkers::settings },
    Rule { name: "viral-video", settings: videos::settings },
    Rule { name: "self-maintenance", settings: machines::settings },
    Rule { name: "recipe-order", settings: viewers::settings },
    Rule { name: "vending-machine", settings: vending::settings },
];

/// The file that the secret of the enterprises stands in.
pub(super) const SECRET: &str = "city.secret";

/// The host's configuration: a sink for each enterprise, and routes to it.
pub(super) fn carpe_toml(enterprises: &Enterprises) -> String {
    let mut text = HOST.to_owned();
    for enterprise in &enterprises.all {
        let (name, address, ordered) = (enterprise.name, enterprise.address, enterprise.ordered);
        text += &format!(
            "\n[sink.{name}]\nkind = \"webhook\"\nurl = \"http://{address}/\"\nsecret_file = \"{SECRET}\"\n\
             timeout_ms = 1_500\nordered = {ordered}\n"
        );
        for action in enterprise.actions {
            text += &format!("\n[[route]]\naction = \"{action}\"\nsink = \"{name}\"\n");
        }
    }
    text
}

/// What holds for all rules; the operator's guardrails belong here, too.
const HOST: &str = r#"data = "data"

[listen]
events = "127.0.0.1:0"
operators = "127.0.0.1:0"

# The day is short: what failed is soon tried again.
[retry]
first_ms = 100
"#;
