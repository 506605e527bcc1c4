//! What no host should take, and what no rule should believe.

use carpe::Event;
use serde_json::json;

use super::Now;

/// The rest of the city sends a request that is no event once in so many ticks.
const EVERY_TICKS: u64 = 9;

/// A request that the host has to refuse: its content type and its body.
pub(in super::super) fn request(tick: u64) -> Option<(&'static str, String)> {
    const STRUCTURED: &str = "application/cloudevents+json";
    if tick % EVERY_TICKS != EVERY_TICKS / 2 {
        return None;
    }
    Some(match tick / EVERY_TICKS % 6 {
        0 => (STRUCTURED, r#"{"specversion":"1.0","id":"1","source":"/rivers","#.to_owned()),
        1 => (STRUCTURED, json!({ "specversion": "1.0", "id": "1", "source": "/rivers" }).to_string()),
        2 => (
            STRUCTURED,
            json!({ "specversion": "0.3", "id": "1", "source": "/rivers", "type": "gauge.level" }).to_string(),
        ),
        3 => ("text/plain", "the water is high".to_owned()),
        4 => (
            STRUCTURED,
            json!({ "specversion": "1.0", "id": "1", "source": "/rivers", "type": "gauge.level", "time": "noon" })
                .to_string(),
        ),
        _ => ("application/cloudevents-batch+json", r#"{"not":"a batch"}"#.to_owned()),
    })
}

/// Events that are valid and make no sense: the host takes them, and each is set aside by its rule. Each
/// comes once in a day.
pub(super) fn absurd(now: Now) -> Option<Event> {
    Some(match now.tick {
        20 => now.event("pedestrian.position", "/phones", "walker-lost", "", &json!({ "lat": 91, "lon": 0 })),
        30 => now.event("video.mentioned", "/mentions", "clip-none", "", &json!({ "count": 0 })),
        40 => {
            let data = json!({ "product": "gold", "paid_cents": 1 });
            now.event("vending.sold", "/machines", "hall-none", "", &data)
        }
        50 => {
            let data = json!({ "order": "order-none", "recipe": "feast", "servings": 500, "cents": 1 });
            now.event("recipe.tapped", "/apps/kitchen", "viewer-none", "", &data)
        }
        60 => now.event("machine.reading", "/machines", "press-none", "", &json!({ "value": 1e6 })),
        _ => return None,
    })
}
