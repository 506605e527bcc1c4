use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use carpe_connect::Secret;
use carpe_connect::operators::{Operated, Operators, PluginState, PluginView, StatusView};
use serde_json::{Value, json};

use crate::wire::get;

#[derive(Clone, Default)]
struct Host(Arc<AtomicBool>);

impl Operated for Host {
    fn status(&self) -> StatusView {
        let ready = self.0.load(Ordering::Relaxed);
        StatusView {
            version: "0.1.0".into(),
            ready,
            not_ready_because: if ready { vec![] } else { vec!["the journal is being read".into()] },
            plugins: vec![PluginView {
                rule: "flood-alert".into(),
                state: PluginState::Quarantined,
                ..PluginView::default()
            }],
            ..StatusView::default()
        }
    }

    fn dead_letters(&self, most: usize) -> Vec<Value> {
        (0..most.min(500)).map(|position| json!({ "position": position })).collect()
    }
}

#[tokio::test]
async fn operators_see_what_the_host_does() {
    let host = Host::default();
    let server = Operators::new("127.0.0.1:0", None).start(host.clone()).await.unwrap();
    let at = server.address();
    assert_eq!(get(at, "/healthz", "").await.status, 200);
    let ready = get(at, "/readyz", "").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json(), json!({"ready": false, "not_ready_because": ["the journal is being read"]}));
    host.0.store(true, Ordering::Relaxed);
    assert_eq!(get(at, "/readyz", "").await.status, 200);

    let status = get(at, "/status", "").await.json();
    assert_eq!((&status["version"], &status["plugins"][0]["state"]), (&json!("0.1.0"), &json!("quarantined")));
    let metrics = get(at, "/metrics", "").await;
    let content_type = metrics.header("content-type");
    assert_eq!(content_type, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(metrics.text().contains("carpe_plugin_state{rule=\"flood-alert\",file=\"\",state=\"quarantined\"} 1\n"));

    let listed = async |path| get(at, path, "").await.json()["dead_letters"].as_array().unwrap().len();
    assert_eq!(listed("/dead-letters").await, 100);
    assert_eq!(listed("/dead-letters?limit=3").await, 3);
    assert_eq!(listed("/dead-letters?limit=99999999").await, 500);
    assert_eq!(get(at, "/dead-letters?limit=x", "").await.detail(400), "`limit` is not a number");
    assert_eq!(get(at, "/stauts", "").await.detail(404), "there is nothing at /stauts");
    let posted = crate::wire::request(at, "POST /status HTTP/1.1\ncontent-length: 0", b"").await;
    assert_eq!(posted.detail(405), "POST is not possible here");
}

#[tokio::test]
async fn with_a_token_only_the_probes_are_open() {
    let token = Some(Secret::new("s3cret"));
    let server = Operators::new("0.0.0.0:0", token).start(Host::default()).await.unwrap();
    let at = ([127, 0, 0, 1], server.address().port()).into();
    for path in ["/status", "/metrics", "/dead-letters"] {
        get(at, path, "").await.detail(401);
        assert_eq!(get(at, path, "authorization: Bearer s3cret").await.status, 200, "{path}");
    }
    assert_eq!(get(at, "/healthz", "").await.status, 200);
    assert_eq!(get(at, "/readyz", "").await.json(), json!({"ready": false}), "without reasons");

    let open = Operators::new("0.0.0.0:0", None).start(Host::default()).await.unwrap_err();
    assert!(open.to_string().starts_with("`listen.operators` is `0.0.0.0:0`"), "{open}");
}
