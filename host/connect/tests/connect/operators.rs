use std::time::Duration;

use carpe::{Event, Host};
use carpe_connect::Secret;
use carpe_connect::config::Sinks;
use carpe_connect::operators::Operators;
use serde_json::json;
use tempfile::TempDir;

use crate::wire::{get, request};

/// A host with a plugin that is none.
fn host() -> (TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no\"plugin.wasm"), "nonsense").unwrap();
    let host = Host::builder().threads(1).plugins_dir(folder.path()).start().unwrap();
    host.submit(Event::new("1", "/s", "t")).unwrap().wait().unwrap();
    assert!(host.settle(Duration::from_secs(10)));
    (folder, host)
}

#[tokio::test]
async fn operators_see_what_the_host_does() {
    let (_folder, host) = tokio::task::spawn_blocking(host).await.unwrap();
    let server = Operators::new("127.0.0.1:0", None).start(host.clone(), Sinks::default()).await.unwrap();
    let at = server.address();
    assert_eq!(get(at, "/healthz", "").await.status, 200);
    let ready = get(at, "/readyz", "").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"ready": true, "not_ready_because": []})));

    let status = get(at, "/status", "").await.json();
    assert_eq!(
        (&status["intake"]["accepted"], &status["plugins"][0]["state"]),
        (&json!(1), &json!("refused"))
    );
    assert_eq!(status["stopped_sinks"], json!({}));
    let metrics = get(at, "/metrics", "").await;
    let content_type = metrics.header("content-type");
    assert_eq!(content_type, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    for line in [
        "carpe_ready 1",
        "carpe_events_total{outcome=\"accepted\"} 1",
        "carpe_plugin_state{rule=\"\",file=\"no\\\"plugin\",state=\"refused\"} 1",
        "carpe_plugin_state{rule=\"\",file=\"no\\\"plugin\",state=\"active\"} 0",
        "carpe_recovery_target_seconds 0.0",
        "carpe_erasures_pending 0",
        "carpe_checkpoints_failed 0",
        "carpe_held_actions 0",
        "carpe_held_limit_actions 10000",
        "carpe_mutes 0",
        "carpe_queue_depth{queue=\"intake\",name=\"\"} 0",
        "# EOF",
    ] {
        assert!(metrics.text().lines().any(|known| known == line), "{line} is not in\n{}", metrics.text());
    }
    let samples = metrics.text().lines().filter(|line| !line.starts_with('#'));
    let mut samples: Vec<&str> = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let all = samples.len();
    samples.sort_unstable();
    samples.dedup();
    assert_eq!(samples.len(), all, "a sample is there twice");

    assert_eq!(get(at, "/dead-letters", "").await.json(), json!({"dead_letters": []}));
    let wrong = get(at, "/dead-letters?limit=x", "").await.detail(400);
    assert!(wrong.contains("limit: invalid digit"), "{wrong}");
    assert_eq!(get(at, "/stauts", "").await.detail(404), "there is nothing at /stauts");
    let posted = request(at, "POST /status HTTP/1.1\ncontent-length: 0", b"").await;
    assert_eq!(posted.detail(405), "POST is not possible here");
}

#[tokio::test]
async fn with_a_token_only_the_probes_are_open() {
    let (_folder, host) = tokio::task::spawn_blocking(host).await.unwrap();
    let token = Some(Secret::new("s3cret"));
    let server = Operators::new("0.0.0.0:0", token).start(host.clone(), Sinks::default()).await.unwrap();
    let at = ([127, 0, 0, 1], server.address().port()).into();
    for path in ["/status", "/metrics", "/dead-letters", "/rules", "/erasures", "/moments", "/held", "/mutes"]
    {
        get(at, path, "").await.detail(401);
        assert_eq!(get(at, path, "authorization: Bearer s3cret").await.status, 200, "{path}");
    }
    assert_eq!(get(at, "/healthz", "").await.status, 200);
    assert_eq!(get(at, "/readyz", "").await.json(), json!({"ready": true}), "without reasons");
    let open = Operators::new("0.0.0.0:0", None).start(host.clone(), Sinks::default()).await.unwrap_err();
    assert!(open.to_string().starts_with("`listen.operators` is `0.0.0.0:0`"), "{open}");
    tokio::task::spawn_blocking(move || host.shutdown(Duration::from_secs(10))).await.unwrap();
    assert_eq!(get(at, "/readyz", "").await.status, 503);
}

#[tokio::test]
async fn only_what_no_web_page_can_send_changes_something() {
    let (_folder, host) = tokio::task::spawn_blocking(host).await.unwrap();
    let server = Operators::new("127.0.0.1:0", None).start(host.clone(), Sinks::default()).await.unwrap();
    let at = server.address();
    let post = async |path: &str, headers: &str, body: &str| {
        let head = format!("POST {path} HTTP/1.1\n{headers}\ncontent-length: {}", body.len());
        request(at, &head, body.as_bytes()).await
    };
    let wish = r#"{"subject":"elbe-7"}"#;
    for headers in ["", "content-type: text/plain", "content-type: application/x-www-form-urlencoded"] {
        let detail = post("/erasures", headers, wish).await.detail(415);
        assert_eq!(detail, "what changes something needs `Content-Type: application/json`", "{headers}");
    }
    let json = "content-type: application/json";
    let of_page = format!("{json}\norigin: http://127.0.0.1:8481");
    assert!(post("/erasures", &of_page, wish).await.detail(403).contains("a web page"));
    assert_eq!(get(at, "/erasures", "").await.json(), json!({"pending": [], "failed": null}));

    let position =
        post("/erasures", &format!("{json}; charset=utf-8"), wish).await.json()["position"].clone();
    assert_eq!(get(at, "/erasures", "").await.json()["pending"], json!([position]));
    for (path, body, status, says) in [
        ("/erasures", r#"{"rule":"a"}"#, 400, "whom to forget is a `subject`, or a `rule` and a `key`"),
        ("/erasures", r#"{"rule":"a","key":"b"}"#, 404, "there is no rule `a`"),
        ("/erasures", "{", 400, "the body can't be read"),
        ("/state/a", r#"{"changes":[]}"#, 400, "there are no `changes`"),
        ("/state/a", r#"{"changes":[{"key":"b"}]}"#, 400, "to forget it, say"),
        ("/state/a", r#"{"changes":[{"key":"b","state":null}]}"#, 404, "there is no rule `a`"),
        ("/dead-letters/00/again", "", 404, "there is no dead letter `00`"),
        ("/dead-letters/00/drop", "{}", 404, "there is no dead letter `00`"),
    ] {
        let detail = post(path, json, body).await.detail(status);
        assert!(detail.contains(says), "{path} {body}: {detail}");
    }
    let large = format!(r#"{{"subject":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(post("/erasures", json, &large).await.detail(413), "the body may be 65536 bytes long");
    assert_eq!(get(at, "/rules", "").await.json(), json!({"rules": []}));
    for path in ["/state/a", "/state/a/b%2F..", "/state/a?key=b"] {
        assert_eq!(get(at, path, "").await.detail(404), "there is no rule `a`", "{path}");
    }
}

/// Asks for a change.
async fn post(at: std::net::SocketAddr, path: &str, body: &str) -> crate::wire::Answer {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {length}");
    request(at, &head, body.as_bytes()).await
}

#[tokio::test]
async fn what_people_say_is_taken_whole_or_not_at_all() {
    let (_folder, host) = tokio::task::spawn_blocking(host).await.unwrap();
    let server = Operators::new("127.0.0.1:0", None).start(host.clone(), Sinks::default()).await.unwrap();
    let at = server.address();
    assert_eq!(get(at, "/held", "").await.json(), json!({"held": []}));
    assert_eq!(get(at, "/moments?limit=5", "").await.json(), json!({"moments": []}));
    assert_eq!(
        get(at, "/moments?stage=gone", "").await.detail(400),
        "`gone` is no stage: it must be one of detected, held, acting, done, withheld, rejected, failed, expired"
    );
    assert_eq!(get(at, "/moments/00ff", "").await.detail(404), "there is no moment `00ff` (any more)");
    assert_eq!(post(at, "/held/00ff/approve", "{}").await.detail(404), "there is no held action `00ff`");

    let yes = r#"{"subject":"anna","purpose":"offers","given":true,"said":"2026-01-01T00:00:00Z"}"#;
    let wrong = r#"{"subject":"anna","purpose":"adverts","given":true,"said":"soon"}"#;
    let both = post(at, "/consents", &format!(r#"{{"consents":[{yes},{wrong}]}}"#)).await;
    assert_eq!(both.json()["index"], 1);
    assert_eq!(get(at, "/consents?subject=anna", "").await.json(), json!({"consents": []}));
    let one = post(at, "/consents", &format!(r#"{{"consents":[{yes}]}}"#)).await;
    assert_eq!((one.status, one.json()), (200, json!({"changed": 1})));
    let known = get(at, "/consents?subject=anna", "").await.json();
    assert_eq!(known["consents"][0]["said"], "2026-01-01T00:00:00.000Z");
    for (path, body, says) in [
        ("/consents", "{}", "missing field `consents`"),
        ("/consents", r#"{"consents":[]}"#, "there are no `consents`"),
        (
            "/consents",
            r#"{"consents":[{"subject":"a","purpose":"b","given":true,"why":"x"}]}"#,
            "unknown field `why`",
        ),
        ("/mutes", "{}", "what to mute is a `rule`, a `moment` (its kind) or a `subject`"),
        ("/mutes", r#"{"rule":"a","subject":"b"}"#, "what to mute is"),
        ("/mutes", r#"{"rule":"a","untill":"2999-01-01T00:00:00Z"}"#, "unknown field `untill`"),
        ("/mutes", r#"{"rule":"a","until":"later"}"#, "`until` is `later`: it must be an instant"),
        ("/mutes", r#"{"rule":"a","until":"2999-01-01T00:00:00Z","for_seconds":1}"#, "leave one out"),
    ] {
        let detail = post(at, path, body).await.detail(400);
        assert!(detail.contains(says), "{path} {body}: {detail}");
    }
    let past = post(at, "/mutes", r#"{"rule":"a","until":"2020-01-01T00:00:00Z"}"#).await.detail(409);
    assert!(past.starts_with("2020-01-01T00:00:00.000Z is past: the timeline stands at "), "{past}");

    let muted =
        post(at, "/mutes", r#"{"moment":"offer.*","for_seconds":18446744073709551615,"why":"a test"}"#).await;
    assert_eq!(muted.status, 200, "{}", muted.text());
    let mutes = get(at, "/mutes", "").await.json();
    assert_eq!(
        (&mutes["mutes"][0]["sort"], &mutes["mutes"][0]["name"]),
        (&json!("moment"), &json!("offer.*"))
    );
    assert!(get(at, "/metrics", "").await.text().contains("carpe_mutes 1\n"));
    assert_eq!(post(at, "/mutes/end", r#"{"moment":"offer.*"}"#).await.status, 200);
    assert_eq!(post(at, "/mutes/end", r#"{"moment":"offer.*"}"#).await.detail(404), "there is no such mute");
    tokio::task::spawn_blocking(move || host.shutdown(Duration::from_secs(10))).await.unwrap();
}
