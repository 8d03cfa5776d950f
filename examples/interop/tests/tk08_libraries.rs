//! The libraries that run on this runtime: a test for each cell of the second table in `http/TOKIO.md`, and
//! one that the table says what is tested.

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{Postgres, Redis, Upstream};
use futures_lite::future::zip;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use riot_actor::{
    Exit, Reason, monitor,
    process::SpawnOptions,
    receive,
    runtime::{Config, blocking, in_tokio},
    simulation::Simulation,
    sleep, spawn_link, trap_exit,
};
use riot_http::{Request, Response, Server, http};
use riot_socket::{Connection, memory::Listener};
use sqlx::{SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use tokio_postgres::NoTls;

/// The error of any library.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs a process that is not inside tokio, beside a tokio runtime if `config` has one.
fn run(config: Config, main: impl Future<Output = Result<(), Error>> + Send + 'static) {
    let end = config.workers(2).without_default_log().run(async { main.await.map_err(Reason::error) });
    assert_eq!(end.expect("the runtime starts"), Reason::Normal);
}

fn inside_tokio(main: impl Future<Output = Result<(), Error>> + Send + 'static) {
    run(Config::new().tokio(), async { in_tokio(main).await });
}

fn without_tokio(main: impl Future<Output = Result<(), Error>> + Send + 'static) {
    run(Config::new(), main);
}

/// Uses a pool of two connections from eight processes.
async fn use_postgres(url: String, options: fn() -> SpawnOptions) -> Result<(), Error> {
    let pool = PgPoolOptions::new().max_connections(2).connect(&url).await?;
    let answered = Arc::new(AtomicUsize::new(0));
    let processes: Vec<_> = (0..8)
        .map(|number| {
            let (pool, answered) = (pool.clone(), answered.clone());
            monitor(options().spawn(async move {
                let doubled: i32 = sqlx::query_scalar("SELECT $1 * 2").bind(number).fetch_one(&pool).await?;
                assert_eq!(doubled, number * 2);
                answered.fetch_add(1, SeqCst);
                // Holds a connection when it is killed.
                let _connection = pool.acquire().await?;
                Err::<(), Reason>(Reason::Kill)
            }))
        })
        .collect();
    for process in processes {
        assert_eq!(process.down().await.reason, Reason::Kill);
    }
    assert_eq!(answered.load(SeqCst), 8);
    assert!(pool.size() <= 2, "{}", pool.size());
    pool.close().await;
    Ok(())
}

async fn use_sqlite() -> Result<(), Error> {
    let pool: SqlitePool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    let mut transaction = pool.begin().await?;
    sqlx::query("CREATE TABLE numbers (number INTEGER)").execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO numbers VALUES (1), (2), (4)").execute(&mut *transaction).await?;
    transaction.commit().await?;
    let sum: i64 = sqlx::query_scalar("SELECT sum(number) FROM numbers").fetch_one(&pool).await?;
    assert_eq!(sum, 7);
    pool.close().await;
    Ok(())
}

/// Waits for a connection longer than the pool lets it, by the timer of the pool's runtime.
async fn use_timer_of_pool() -> Result<(), Error> {
    let options = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(50));
    let pool = options.connect("sqlite::memory:").await?;
    let _held = pool.acquire().await?;
    let late = pool.acquire().await.map(drop);
    assert!(matches!(late, Err(sqlx::Error::PoolTimedOut)), "{late:?}");
    Ok(())
}

#[test]
fn tk08_row_1_inside_tokio_sqlx_with_postgres() {
    let Some(database) = Postgres::start() else { return };
    inside_tokio(use_postgres(database.url(), || SpawnOptions::new().tokio()));
}

#[test]
fn tk08_row_1_inside_tokio_sqlx_with_sqlite() {
    inside_tokio(async {
        use_sqlite().await?;
        use_timer_of_pool().await
    });
}

#[test]
fn tk08_row_1_without_tokio_sqlx_by_runtime_smol() {
    without_tokio(async {
        use_sqlite().await?;
        use_timer_of_pool().await
    });
    let Some(database) = Postgres::start() else { return };
    without_tokio(use_postgres(database.url(), SpawnOptions::new));
}

#[test]
fn tk08_row_2_inside_tokio_tokio_postgres() {
    let Some(database) = Postgres::start() else { return };
    let socket = format!("{}/.s.PGSQL.5432", database.folder());
    let settings: tokio_postgres::Config = database.settings().parse().expect("they are settings");
    inside_tokio(async move {
        let socket = tokio::net::UnixStream::connect(socket).await?;
        let (client, driver) = settings.connect_raw(socket, NoTls).await?;
        let driver = tokio::spawn(driver);
        let row = client.query_one("SELECT $1::int + 1", &[&41]).await?;
        assert_eq!(row.try_get::<_, i32>(0)?, 42);
        drop(client);
        driver.await??;
        Ok(())
    });
}

#[test]
fn tk08_row_2_on_our_socket_tokio_postgres() {
    let Some(database) = Postgres::start() else { return };
    let socket = format!("{}/.s.PGSQL.5432", database.folder());
    let settings: tokio_postgres::Config = database.settings().parse().expect("they are settings");
    without_tokio(async move {
        trap_exit(true);
        let connect = async || {
            let socket = Connection::connect_unix(&socket).await?;
            let (client, driver) = settings.connect_raw(socket, NoTls).await?;
            Ok::<_, Error>((client, spawn_link(async move { driver.await.map_err(Reason::error) })))
        };
        let (client, driver) = connect().await?;
        // More than fits into the buffers of a socket, in both directions.
        let large = "x".repeat(5_000_000);
        let row = client.query_one("SELECT $1::text", &[&large]).await?;
        assert!(row.try_get::<_, &str>(0)? == large);
        let (other, _) = connect().await?;
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        // A query that waits, on the connection that another ends.
        let end = format!("SELECT pg_terminate_backend({backend}, 60000)");
        let (slept, ended) = zip(client.execute("SELECT pg_sleep(60)", &[]), other.execute(&end, &[])).await;
        assert_eq!(ended?, 1);
        assert!(slept.is_err());
        let exit: Exit = receive().await;
        assert!(exit.from == driver && !exit.reason.is_clean(), "{exit:?}");
        Ok(())
    });
}

#[test]
fn tk08_row_3_inside_tokio_reqwest() {
    let upstream = Upstream::start();
    inside_tokio(async move {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let get = |path: &str| client.get(format!("http://{}{path}", upstream.address)).send();
        assert_eq!(get("/").await?.text().await?, "hello");
        assert_eq!(get("/large").await?.bytes().await?.len(), 3 << 20);
        assert_eq!(get("/nothing").await?.status(), 404);
        let impatient = reqwest::Client::builder().timeout(Duration::from_millis(50)).build()?;
        let late = impatient.get(format!("http://{}/silent", upstream.address)).send().await;
        assert!(late.as_ref().is_err_and(reqwest::Error::is_timeout), "{late:?}");
        Ok(())
    });
}

#[test]
fn tk08_row_3_inside_tokio_tonic() {
    use tonic::transport::{Endpoint, Server, server::TcpIncoming};
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    inside_tokio(async {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("shop", tonic_health::ServingStatus::NotServing).await;
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
        let address = incoming.local_addr()?;
        tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let mut client = HealthClient::new(channel);
        let mut check = async |service: &str| {
            let request = HealthCheckRequest { service: service.to_owned() };
            client.check(request).await.map(|answer| answer.into_inner().status().as_str_name())
        };
        assert_eq!(check("").await?, "SERVING");
        assert_eq!(check("shop").await?, "NOT_SERVING");
        assert_eq!(check("none").await.map_err(|status| status.code()), Err(tonic::Code::NotFound));
        // A stream of answers, each when the status changes.
        let request = HealthCheckRequest { service: "shop".to_owned() };
        let mut changes = client.watch(request).await?.into_inner();
        assert_eq!(
            changes.message().await?.expect("the present status").status().as_str_name(),
            "NOT_SERVING"
        );
        reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
        assert_eq!(changes.message().await?.expect("the next status").status().as_str_name(), "SERVING");
        Ok(())
    });
}

#[test]
fn tk08_row_3_inside_tokio_redis() {
    use redis::AsyncTypedCommands;
    let Some(redis) = Redis::start() else { return };
    let url = redis.url();
    inside_tokio(async move {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        connection.set("a", "1").await?;
        // All at once on one connection, from processes inside tokio.
        let processes: Vec<_> = (0..100)
            .map(|_| {
                let mut connection = connection.clone();
                let body = async move { connection.incr("a", 1).await.map(drop).map_err(Reason::error) };
                monitor(SpawnOptions::new().tokio().spawn(body))
            })
            .collect();
        for process in processes {
            assert_eq!(process.down().await.reason, Reason::Normal);
        }
        assert_eq!(connection.get("a").await?.as_deref(), Some("101"));
        let mut manager = client.get_connection_manager().await?;
        assert_eq!(manager.incr("a", 1).await?, 102);
        Ok(())
    });
}

/// Asks for a path by hyper's client on one of our connections, as often as `count` says.
async fn get_by_hyper(connection: Connection, path: &str, count: usize) -> Result<Vec<Bytes>, Error> {
    let (mut client, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    let driver = monitor(spawn_link(async move { driver.await.map_err(Reason::error) }));
    let mut answers = Vec::new();
    for _ in 0..count {
        let request = http::Request::get(path).header("host", "a").body(Empty::<Bytes>::new())?;
        client.ready().await?;
        let answer = client.send_request(request).await?;
        assert_eq!(answer.status(), 200);
        answers.push(answer.into_body().collect().await?.to_bytes());
    }
    drop(client);
    assert_eq!(driver.down().await.reason, Reason::Normal);
    Ok(answers)
}

#[test]
fn tk08_row_3_on_our_socket_hyper_s_client() {
    let upstream = Upstream::start();
    without_tokio(async move {
        for (path, length) in [("/", 5), ("/large", 3 << 20)] {
            let connection = Connection::connect(&upstream.address).await?;
            assert_eq!(get_by_hyper(connection, path, 1).await?[0].len(), length, "{path}");
        }
        let server = Server::bind("127.0.0.1:0")?.service(tick).start_link().await?;
        let connection = Connection::connect(&server.local_addr().to_string()).await?;
        assert_eq!(get_by_hyper(connection, "/", 3).await?, ["tick"; 3]);
        Ok(())
    });
}

/// Takes 10 ms, of a simulation's clock in a simulation.
async fn tick(_: Request) -> Response {
    sleep(Duration::from_millis(10)).await;
    Response::text("tick")
}

#[test]
fn tk08_row_3_on_our_socket_hyper_s_client_in_a_simulation() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).service(tick).start_link().await?;
        let began = riot_actor::now();
        let answers = get_by_hyper(listener.connect()?, "/", 3).await.map_err(Reason::error)?;
        assert_eq!(answers, ["tick"; 3]);
        // A timer of the simulation's clock is up to a millisecond late.
        let took = (riot_actor::now() - began).as_millis();
        assert!((30..=33).contains(&took), "{took}");
        server.stop(Duration::from_secs(1)).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn tk08_row_4_in_blocking_ureq() {
    let upstream = Upstream::start();
    without_tokio(async move {
        let get = |path: &str, timeout| {
            let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).build();
            let url = format!("http://{}{path}", upstream.address);
            blocking(move || ureq::Agent::from(config).get(url).call()?.body_mut().read_to_vec())
        };
        let patience = Duration::from_secs(30);
        assert_eq!(get("/", patience).await?, b"hello");
        assert_eq!(get("/large", patience).await?.len(), 3 << 20);
        let missing = get("/nothing", patience).await;
        assert!(matches!(missing, Err(ureq::Error::StatusCode(404))), "{missing:?}");
        // Only the process that awaits it waits.
        let (silent, ticks) = (get("/silent", Duration::from_millis(200)), async {
            for _ in 0..10 {
                sleep(Duration::from_millis(10)).await;
            }
            riot_actor::now()
        });
        let (late, ticked) = zip(silent, ticks).await;
        assert!(matches!(late, Err(ureq::Error::Timeout(_))), "{late:?}");
        assert!(ticked < riot_actor::now());
        Ok(())
    });
}

/// The ways of the table's columns, as they stand in the names of the tests.
const WAYS: [&str; 3] = ["inside_tokio", "on_our_socket", "in_blocking"];

#[test]
fn tk08_each_cell_of_the_table_is_tested_and_each_test_has_its_cell() {
    let page = include_str!("../../../http/TOKIO.md");
    let table = page.lines().skip_while(|line| !line.starts_with("| | library |"));
    let rows: Vec<_> = table.skip(2).take_while(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    let source = include_str!("tk08_libraries.rs");
    let tests: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("fn tk08_row_")).collect();
    let mut tested: BTreeSet<&&str> = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 2 + WAYS.len(), "{row}");
        // Libraries in code are tested, in the first way that the row has.
        let mut libraries: Vec<_> = cells[1].split('`').skip(1).step_by(2).collect();
        for (cell, way) in cells[2..].iter().zip(WAYS) {
            let prefix = format!("{}_{way}_", cells[0]);
            let here: Vec<_> = tests.iter().filter(|name| name.starts_with(&prefix)).collect();
            assert_eq!(here.is_empty(), cell.starts_with('–'), "{row}: {way}: {here:?}");
            if !here.is_empty() {
                for library in libraries.drain(..).map(|name| name.replace('-', "_")) {
                    assert!(
                        here.iter().any(|name| name[prefix.len()..].starts_with(&library)),
                        "{library}: {here:?}"
                    );
                }
            }
            tested.extend(here);
        }
        assert!(libraries.is_empty(), "{libraries:?}");
    }
    let mut others = tests.iter().filter(|name| !tested.contains(name));
    assert!(others.all(|name| name.starts_with("1_without_tokio_") && page.contains("`runtime-smol`")));
}

#[test]
fn tk08_the_code_on_the_page_is_that_of_the_programs() {
    let page = include_str!("../../../http/TOKIO.md");
    let programs = [
        include_str!("../hyper_on_our_socket.rs"),
        include_str!("../postgres_on_our_socket.rs"),
        include_str!("../ureq_blocking.rs"),
        include_str!("../websocket_chat.rs"),
    ];
    let blocks: Vec<_> = page.split("```Rust\n").skip(1).map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let block = block.expect("split gives at least one");
        let mut lines = block.lines().map(str::trim);
        let is_in =
            |program: &&str| lines.clone().all(|line| program.lines().any(|other| other.trim() == line));
        assert!(programs.iter().any(is_in), "no program has all of these lines:\n{block}");
        assert!(lines.next().is_some());
    }
}
