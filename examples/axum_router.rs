//! An axum application on this server, unchanged: routes, extractors, middleware and state.
//! `cargo run --release --example axum_router -- --addr 127.0.0.1:8080`.
//!
//! Every client has a process of its own, so a handler that panics costs its client a 500 and no other client
//! anything. Its handlers need nothing of tokio's; `axum_static` shows some that do.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Extension, Path, Query, Request, State},
    http::{HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use riot_actor::{Reason, run};
use riot_socket::signals::Signals;
use serde::{Deserialize, Serialize};

#[derive(Clone, Default)]
struct App {
    users: Arc<Mutex<Vec<User>>>,
    requests: Arc<AtomicU64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct User {
    name: String,
    age: u8,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    from: usize,
    #[serde(default = "Page::size")]
    size: usize,
}

impl Page {
    fn size() -> usize {
        10
    }
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(|| async { "Hello, World!" }))
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("Hello, {name}!") }))
        .route("/users", get(list).post(create))
        .route("/slow", get(slow))
        .route("/me", get(|Extension(peer): Extension<SocketAddr>| async move { peer.ip().to_string() }))
        .route("/panic", get(|| async { panic!("asked to") as () }))
        .layer(middleware::from_fn_with_state(app.clone(), number))
        .with_state(app)
}

async fn list(State(app): State<App>, Query(page): Query<Page>) -> Json<Vec<User>> {
    let users = app.users.lock().unwrap_or_else(PoisonError::into_inner);
    Json(users.iter().skip(page.from).take(page.size).cloned().collect())
}

async fn create(State(app): State<App>, Json(user): Json<User>) -> Response {
    if user.name.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, "a user has a name\n").into_response();
    }
    app.users.lock().unwrap_or_else(PoisonError::into_inner).push(user.clone());
    (StatusCode::CREATED, Json(user)).into_response()
}

/// Sleeps in its client's process. A handler may sleep, send and receive as any other process.
async fn slow() -> &'static str {
    riot_actor::sleep(Duration::from_millis(50)).await;
    "at last"
}

/// Numbers the responses.
async fn number(State(app): State<App>, request: Request, next: Next) -> Response {
    let number = app.requests.fetch_add(1, Ordering::Relaxed);
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-number", HeaderValue::from(number));
    response
}

fn main() -> Reason {
    let address = std::env::args().skip_while(|argument| argument != "--addr").nth(1);
    run(serve(address.unwrap_or_else(|| "127.0.0.1:8080".into())))
}

async fn serve(address: String) -> Result<(), Reason> {
    let mut signals = Signals::new()?;
    let server = riot_http::Server::bind(address)?.tower(router(App::default())).start_link().await?;
    println!("listening on http://{}", server.local_addr());
    signals.next().await?;
    server.stop(Duration::from_secs(5)).await;
    Ok(())
}
