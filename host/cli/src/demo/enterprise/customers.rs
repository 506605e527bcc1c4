//! The phone operator: it knows who a viewer is.

use rand::rngs::StdRng;
use serde_json::json;

use super::super::city::viewers::STRANGER;
use super::action::Action;
use super::{Reply, Trade};

pub(super) struct PhoneOperator;

impl Trade for PhoneOperator {
    fn take(&mut self, action: &Action, _: &mut StdRng) -> Reply {
        match action.text("viewer") {
            STRANGER => Reply::Taken(json!({ "accepted": false })),
            // No other enterprise is told the viewer's name.
            viewer => {
                let customer = blake3::hash(viewer.as_bytes()).to_hex();
                Reply::Taken(json!({ "customer": format!("c-{}", &customer[..8]) }))
            }
        }
    }
}
