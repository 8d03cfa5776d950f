//! Counters in SQLite, by sqlx, inside tokio and outside of it.
//! `cargo run --example sqlite -- --addr 127.0.0.1:8080 --database sqlite::memory: --runtime tokio`.
//!
//! sqlx has a runtime for each of its features. With `runtime-tokio` it needs tokio; with `runtime-smol` it
//! needs none, and `--runtime smol` starts none. This program has both: what runs inside tokio uses tokio.
//! Try `curl localhost:8080/apples`, which counts how often it was asked for.

use std::{process::ExitCode, time::Duration};

use riot_actor::{
    Reason,
    runtime::{Config, in_tokio},
};
use riot_http::{Request, Response, Server, http::StatusCode};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

const COUNT: &str = "INSERT INTO counters VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET number = number + 1 RETURNING number";

async fn open(database: &str) -> Result<SqlitePool, Reason> {
    // Each connection to `:memory:` is a database of its own, so there is one, and it stays.
    let options = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = options.acquire_timeout(Duration::from_secs(1)).connect(database).await?;
    let table = "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, number INTEGER NOT NULL)";
    sqlx::query(table).execute(&pool).await?;
    Ok(pool)
}

async fn count(pool: SqlitePool, request: Request) -> Response {
    let name = request.path().trim_start_matches('/');
    match sqlx::query_scalar::<_, i64>(COUNT).bind(name).fetch_one(&pool).await {
        Ok(number) => Response::text(format!("{number}\n")),
        Err(error) => Response::text(format!("{error}\n")).status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--database", "sqlite::memory:"), ("--runtime", "tokio")];
    let [address, database, runtime] = riot_interop::options(defaults);
    let is_tokio = runtime == "tokio";
    let config = Config::new().stop_on_signals();
    let config = if is_tokio { config.tokio() } else { config };
    config.main(async move {
        riot_interop::start_log()?;
        let opening = open(&database);
        let pool = if is_tokio { in_tokio(opening).await? } else { opening.await? };
        let server = Server::bind(&*address)?;
        let server = if is_tokio { server.tokio() } else { server };
        let server = server.service(move |request| count(pool.clone(), request)).start_link().await?;
        println!("counting with {runtime} on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
