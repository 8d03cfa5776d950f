//! A supervised pool of connections to PostgreSQL, without a tokio runtime: tokio-postgres on our socket.
//! `cargo run --example postgres_on_our_socket -- --database "host=/run/postgresql user=postgres"`.
//!
//! Each connection is a generic server. Its driver, which moves the bytes, is a process linked to it. When
//! the database goes both end, and the supervisor starts the server again, with pauses that grow up to a
//! second. Meanwhile requests are answered by 503. Try `curl -i localhost:8080/world` while you restart the
//! database.

use std::{process::ExitCode, time::Duration};

use riot_actor::{
    Reason,
    gen_server::{Call, GenServer, GenServerRef, Stop, stop},
    group::{join_group, members},
    runtime::{Config, random},
    spawn_link, this, timeout,
};
use riot_http::{Request, Response, Server, http::StatusCode};
use riot_socket::Connection;
use riot_supervisor::{Backoff, Supervisor, server};
use tokio_postgres::{Client, NoTls, config::Host};

/// Connections to the database, and the group in which they are.
const CONNECTIONS: usize = 4;
const GROUP: &str = "database";

/// How long a connection may take to be made, and a query to be answered.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to the database.
struct Database(Client);

impl GenServer for Database {
    type Args = tokio_postgres::Config;

    async fn init(settings: tokio_postgres::Config) -> Result<Self, Stop> {
        let client = timeout(TIMEOUT, connect(&settings)).await??;
        join_group(GROUP, this());
        Ok(Self(client))
    }
}

/// Connects, and starts the driver of the connection.
async fn connect(settings: &tokio_postgres::Config) -> Result<Client, Reason> {
    let port = settings.get_ports().first().copied().unwrap_or(5432);
    let socket = match settings.get_hosts().first() {
        Some(Host::Unix(folder)) => Connection::connect_unix(folder.join(format!(".s.PGSQL.{port}"))).await?,
        Some(Host::Tcp(name)) => Connection::connect(&format!("{name}:{port}")).await?,
        None => return Err(Reason::other("the settings name no host")),
    };
    let (client, driver) = settings.connect_raw(socket, NoTls).await?;
    // The link ends each with the other.
    spawn_link(async move {
        driver.await?;
        Err::<(), Reason>(Reason::other("the database has closed the connection"))
    });
    Ok(client)
}

/// A greeting that the database makes.
struct Greet(String);

impl Call<Greet> for Database {
    type Reply = Result<String, Reason>;

    async fn call(&mut self, Greet(name): Greet) -> Result<String, Reason> {
        let query = "SELECT 'hello, ' || $1 || ' from session ' || pg_backend_pid()";
        match timeout(TIMEOUT, self.0.query_one(query, &[&name])).await {
            Ok(row) => Ok(row?.try_get(0)?),
            Err(late) => {
                // The next one may find a database that answers.
                stop(Reason::error(late));
                Err(Reason::error(late))
            }
        }
    }
}

async fn greet(request: Request) -> Response {
    match ask(request.path().trim_start_matches('/')).await {
        Ok(greeting) => Response::text(greeting + "\n"),
        Err(error) => {
            let text = format!("the database is away: {error}\n");
            Response::text(text).status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Asks any of the connections.
async fn ask(name: &str) -> Result<String, Reason> {
    let connections = members(GROUP);
    let any = random() as usize % connections.len().max(1);
    let connection = connections.get(any).ok_or(Reason::NoProc)?;
    GenServerRef::<Database>::new(*connection).call(Greet(name.to_owned())).await?
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--database", "host=/run/postgresql user=postgres")];
    let [address, database] = riot_interop::options(defaults);
    Config::new().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let settings: tokio_postgres::Config = database.parse()?;
        // A connection that fails tries again once or twice a second.
        let backoff =
            Backoff::new().first(Duration::from_millis(50)).max(Duration::from_secs(1)).every_restart();
        let mut pool =
            Supervisor::one_for_one().label("pool").intensity(100, Duration::from_secs(5)).backoff(backoff);
        for number in 0..CONNECTIONS {
            let settings = settings.clone();
            pool = pool.child(server::<Database>(format!("connection {number}"), move || settings.clone()));
        }
        pool.start_link().await?;
        let server = Server::bind(&*address)?.service(greet).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
