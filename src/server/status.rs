//! The status port: probes for the kubelet, metrics for Prometheus. Plain HTTP, and nothing secret.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

use super::liveness::Liveness;
use super::metrics;
use super::readiness::Readiness;

/// The routes of the status port; `metrics` are those of the role.
pub fn router<M>(metrics: Arc<M>, readiness: Arc<Readiness>, liveness: Arc<Liveness>) -> Router
where
    M: AsRef<Registry> + Send + Sync + 'static,
{
    Router::new()
        .route("/healthz", get(alive).with_state(liveness))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics_page::<M>).with_state(metrics))
}

async fn alive(State(liveness): State<Arc<Liveness>>) -> (StatusCode, String) {
    let stopped = liveness.report();
    if stopped.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("stopped: {}\n", stopped.join("\nstopped: ")))
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> (StatusCode, String) {
    let missing = readiness.report();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("\nnot ready: ")))
}

async fn metrics_page<M: AsRef<Registry>>(State(registry): State<Arc<M>>) -> impl IntoResponse {
    match metrics::encode((*registry).as_ref()) {
        Ok(page) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
