//! What the host and its rules are told: `carpe.toml`, and `NAME.toml` beside each plugin.

use super::city::{homes, junctions, machines, rivers, street, vending, videos, viewers, walkers};
use super::enterprise::{Enterprise, Enterprises};
use super::guardrails;

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

/// The host's configuration: guardrails, and a sink for each enterprise with routes to it. Whatever no route takes goes to
/// the default sink alone; a route of everything would give it a copy of all.
pub(super) fn carpe_toml(enterprises: &Enterprises) -> String {
    let Enterprises { all, lost_property, .. } = enterprises;
    let mut text = format!(
        "default_sink = \"{}\"\nconsent_file = \"{}\"\n{HOST}{}",
        lost_property.name,
        guardrails::CONSENTS,
        guardrails::tables()
    );
    all.iter().chain([lost_property]).for_each(|enterprise| text += &sink(enterprise));
    text
}

fn sink(enterprise: &Enterprise) -> String {
    let Enterprise { name, address, ordered, actions, .. } = enterprise;
    let mut text = format!(
        "\n[sink.{name}]\nkind = \"webhook\"\nurl = \"http://{address}/\"\nsecret_file = \"{SECRET}\"\n\
         timeout_ms = 1_500\nordered = {ordered}\n"
    );
    for action in *actions {
        text += &format!("\n[[route]]\naction = \"{action}\"\nsink = \"{name}\"\n");
    }
    text
}

/// What holds for all rules.
const HOST: &str = r#"data = "data"

[listen]
events = "127.0.0.1:0"
operators = "127.0.0.1:0"

# The day is short: what failed is soon tried again.
[retry]
first_ms = 100
"#;
