//! An axum application with a database: notes in PostgreSQL, by sqlx, behind a time limit of tower-http.
//! `cargo run --example axum_postgres -- --addr 127.0.0.1:8080 --database postgres:///`.
//!
//! While the database is away a request is answered within a second, by 503, and the log has a line when the
//! database goes and one when it is back. SIGTERM drains the server, and then closes the pool. Try
//! `curl localhost:8080/notes -d 'buy milk'`, also without `-d`, and `-X DELETE localhost:8080/notes/1`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{process::ExitCode, time::Duration};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, http::StatusCode, http::header, routing::get};
use riot_actor::{Reason, runtime::Config, runtime::in_tokio, timeout};
use riot_socket::signals::Signals;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions, Postgres};
use sqlx::{SqlSafeStr, query::QueryScalar, query_scalar};
use tower_http::timeout::TimeoutLayer;

const NOTES: &str = "CREATE TABLE notes (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text TEXT NOT NULL CHECK (char_length(text) BETWEEN 1 AND 1000))";
const LIST: &str = "SELECT coalesce(json_agg(note), '[]')::text
    FROM (SELECT * FROM notes ORDER BY id LIMIT 100) AS note";

/// Whether the database was away when a connection was last asked for.
static IS_AWAY: AtomicBool = AtomicBool::new(false);
type Answer = Result<Response, Failure>;

/// Answers with the one value of a query, which is JSON. The log says when the database goes, and when it
/// is back.
async fn answer(pool: PgPool, query: QueryScalar<'_, Postgres, String, PgArguments>) -> Answer {
    let connection = pool.acquire().await;
    let was_away = IS_AWAY.swap(connection.is_err(), Relaxed);
    match &connection {
        Err(error) if !was_away => tracing::warn!("the database is away: {error}"),
        Ok(_) if was_away => tracing::warn!("the database is back"),
        _ => {}
    }
    let json = query.fetch_one(&mut *connection.map_err(Failure)?).await.map_err(Failure)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// A query without a result.
struct Failure(sqlx::Error);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        use sqlx::Error::{Database, Io, PoolTimedOut, Protocol, RowNotFound};
        let code = if let Database(error) = &self.0 { error.code() } else { None };
        // Classes of SQLSTATE: 08, 53 and 57 are about connection and server, 22 and 23 about values.
        let (status, text) = match (&self.0, code.as_deref().and_then(|code| code.get(..2))) {
            (RowNotFound, _) => (404, "there is no such note\n"),
            (_, Some("22" | "23")) => (422, "a note has 1 to 1000 letters\n"),
            (PoolTimedOut | Io(_) | Protocol(_), _) | (_, Some("08" | "53" | "57")) => {
                (503, "the database is away\n")
            }
            (error, _) => {
                tracing::error!("a query failed: {error}");
                (500, "internal error\n")
            }
        };
        (StatusCode::from_u16(status).unwrap_or_default(), text).into_response()
    }
}

async fn list(State(pool): State<PgPool>) -> Answer {
    answer(pool, query_scalar(LIST)).await
}

async fn create(State(pool): State<PgPool>, text: String) -> Answer {
    let insert = query_scalar("INSERT INTO notes (text) VALUES ($1) RETURNING to_json(notes)::text");
    Ok((StatusCode::CREATED, answer(pool, insert.bind(text)).await?).into_response())
}

async fn read(State(pool): State<PgPool>, Path(id): Path<i64>) -> Answer {
    answer(pool, query_scalar("SELECT to_json(notes)::text FROM notes WHERE id = $1").bind(id)).await
}

async fn update(State(pool): State<PgPool>, Path(id): Path<i64>, text: String) -> Answer {
    let update = query_scalar("UPDATE notes SET text = $2 WHERE id = $1 RETURNING to_json(notes)::text");
    answer(pool, update.bind(id).bind(text)).await
}

async fn delete(State(pool): State<PgPool>, Path(id): Path<i64>) -> Answer {
    answer(pool, query_scalar("DELETE FROM notes WHERE id = $1 RETURNING to_json(notes)::text").bind(id))
        .await
}

/// Opens the pool, and makes the table if it is not there yet.
async fn open(database: &str) -> Result<PgPool, Reason> {
    let options = PgPoolOptions::new().max_connections(5).acquire_timeout(Duration::from_secs(1));
    let pool = options.connect(database).await?;
    let notes = Migration::new(1, "notes".into(), MigrationType::Simple, NOTES.into_sql_str(), false);
    Migrator::with_migrations(vec![notes]).run(&pool).await?;
    Ok(pool)
}

fn main() -> ExitCode {
    let [address, database] =
        riot_interop::options([("--addr", "127.0.0.1:8080"), ("--database", "postgres:///")]);
    Config::new().tokio().main(async move {
        riot_interop::start_log()?;
        let mut signals = Signals::new()?;
        let pool = in_tokio(open(&database)).await?;
        let limit = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(10));
        let router = Router::new()
            .route("/notes", get(list).post(create))
            .route("/notes/{id}", get(read).put(update).delete(delete))
            .layer(limit)
            .with_state(pool.clone());
        let server = riot_http::Server::bind(&*address)?.axum(router).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        signals.next().await?;
        server.stop(Duration::from_secs(15)).await;
        // A connection to a database that hangs does not come back.
        let _ = timeout(Duration::from_secs(5), in_tokio(pool.close())).await;
        Ok::<(), Reason>(())
    })
}
