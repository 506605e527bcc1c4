//! A service that embeds Carpe. `POST /visits/PAGE` answers with the moment that the visit causes.
//!
//! `service PLUGINS`: the folder holds a rule that counts, such as `tests/guests/counter`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use carpe::{Event, Host, Moment, MomentsError};
use serde_json::json;

#[derive(Clone)]
struct Service {
    host: Host,
    visits: Arc<AtomicU64>,
}

async fn visit(
    State(service): State<Service>,
    Path(page): Path<String>,
) -> Result<Json<Moment>, (StatusCode, String)> {
    let unavailable = |error: &dyn Error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    let n = service.visits.fetch_add(1, Ordering::Relaxed) + 1;
    let event = Event::new(n.to_string(), "/visits", "count.event")
        .with_subject(page)
        .with_json(json!({ "n": n }).to_string());
    // Before the event goes in: its moment cannot be missed.
    let mut moments = service.host.moments();
    let receipt = service.host.submit(event).map_err(|error| unavailable(&error))?;
    let accepted = receipt.await.map_err(|error| unavailable(&error))?;
    loop {
        match moments.recv().await {
            Ok(moment) if Some(moment.position) == accepted.first_position => {
                return Ok(Json(Moment::clone(&moment)));
            }
            Ok(_) | Err(MomentsError::Lagged(_)) => {}
            Err(error) => return Err(unavailable(&error)),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let plugins = std::env::args().nth(1).ok_or("usage: service PLUGINS")?;
    // In memory: a service that gives a `data_dir` finds its counts again.
    let host = tokio::task::spawn_blocking(|| Host::builder().plugins_dir(plugins).start()).await??;
    let service = Service { host, visits: Arc::default() };
    let app = Router::new().route("/visits/{page}", post(visit)).with_state(service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
