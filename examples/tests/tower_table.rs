//! The parts of axum, tower and tower-http that run on this server: one test for each row of the table in
//! `http/TOKIO.md`. Where axum's own server gives the same answer by itself, both are asked.

use std::{
    convert::Infallible,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    BoxError, Form, Json, Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::{ConnectInfo, DefaultBodyLimit, Multipart, Path, Query, Request, State},
    http::{HeaderName, StatusCode, header},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::stream;
use riot_actor::{
    Reason,
    gen_server::GenServer,
    runtime::{Config, in_tokio},
};
use riot_http::Server;
use serde::{Deserialize, Serialize};
use tower::{ServiceBuilder, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    services::{ServeDir, ServeFile},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

/// A running server; it ends when this is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<Box<dyn FnOnce()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take().expect("it is dropped once")();
    }
}

/// Starts this server, inside tokio.
fn ours(router: Router) -> Running {
    ours_with(move || router, |server| server)
}

/// Starts this server; the router is made inside tokio, which some layers need.
fn ours_with(router: impl FnOnce() -> Router + Send + 'static, change: fn(Server) -> Server) -> Running {
    let (tell, told) = mpsc::channel();
    let running = thread::spawn(move || {
        let reason = Config::new().workers(2).tokio().without_default_log().run(async move {
            let router = in_tokio(async { router() }).await;
            let server = change(Server::bind("127.0.0.1:0")?).axum(router).start_link().await?;
            let handle = riot_actor::runtime::Handle::current();
            tell.send((server.local_addr(), handle)).expect("the test waits");
            std::future::pending::<Result<(), Reason>>().await
        });
        assert_eq!(reason.expect("it ends"), Reason::Shutdown);
    });
    let (address, handle) = told.recv().expect("it starts");
    let stop = move || {
        handle.shutdown(Reason::Shutdown);
        running.join().expect("it ends without a panic");
    };
    Running { address, stop: Some(Box::new(stop)) }
}

/// Starts axum's own server.
fn theirs(router: Router) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async move { axum::serve(listener, service).await });
    Running { address, stop: Some(Box::new(move || runtime.shutdown_background())) }
}

/// A response: its status line, its fields in order of their names but `Date`, and its body.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("it is text")
    }
}

/// Reads one response.
fn read_answer(reader: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a field");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    if let Some(length) = field("content-length") {
        body.resize(length.parse().expect("a number"), 0);
        reader.read_exact(&mut body).expect("the whole body");
    } else if field("transfer-encoding").is_some() {
        while let Some(chunk) = read_chunk(reader) {
            body.extend(chunk);
        }
    }
    fields.retain(|(name, _)| name != "date");
    fields.sort();
    Answer { status, fields, body }
}

/// Reads one chunk; `None` at the end.
fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).expect("the size of a chunk");
    let size = usize::from_str_radix(size.trim(), 16).expect("a number");
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).expect("a chunk");
    chunk.truncate(size);
    (size > 0).then_some(chunk)
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    BufReader::new(stream)
}

/// Sends a request with these fields and this body, and reads the response.
fn send(connection: &mut BufReader<TcpStream>, line: &str, fields: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let request = format!("{line} HTTP/1.1\r\nhost: a\r\n{fields}{length}\r\n{body}");
    connection.get_mut().write_all(request.as_bytes()).expect("it is sent");
    read_answer(connection)
}

fn ask(address: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    send(&mut connect(address), line, fields, body)
}

fn get_from(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), "", "")
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    name: String,
    age: u8,
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

fn application() -> Router {
    let api = Router::new().route("/users/{id}", get(|Path(id): Path<u32>| async move { id.to_string() }));
    Router::new()
        .route("/", get(|| async { "home" }))
        .route("/page", get(|Query(page): Query<Page>| async move { page.page.to_string() }))
        .route(
            "/json",
            post(|Json(user): Json<User>| async move { Json(User { age: user.age + 1, ..user }) }),
        )
        .route(
            "/form",
            post(|Form(user): Form<User>| async move { format!("{} is {}", user.name, user.age) }),
        )
        .route("/state", get(|State(name): State<&'static str>| async move { name }))
        .route("/created", post(|| async { (StatusCode::CREATED, [(header::LOCATION, "/new")], "made") }))
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route("/upload", post(upload))
        .nest("/api", api)
        .with_state("the state")
}

async fn upload(mut parts: Multipart) -> impl IntoResponse {
    let mut said = String::new();
    while let Some(part) = parts.next_field().await.map_err(|error| error.to_string())? {
        let name = part.name().unwrap_or("-").to_owned();
        said += &format!("{name}={} ", part.bytes().await.map_err(|error| error.to_string())?.len());
    }
    Ok::<_, String>(said)
}

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "content-type: application/json\r\n";
const PARTS: &str = "content-type: multipart/form-data; boundary=x\r\n";

#[test]
fn row_1_routes_state_and_extractors_answer_as_on_axum_s_own_server() {
    let (ours, theirs) = (ours(application()), theirs(application()));
    let parts = "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n12345\r\n--x--\r\n";
    for (line, fields, body, status) in [
        ("GET /", "", "", 200),
        ("HEAD /", "", "", 200),
        ("GET /page?page=7", "", "", 200),
        ("GET /page?page=x", "", "", 400),
        ("POST /json", JSON, r#"{"name":"ann","age":41}"#, 200),
        ("POST /json", JSON, r#"{"name":"ann"}"#, 422),
        ("POST /json", JSON, "nonsense", 400),
        ("POST /json", "", "{}", 415),
        ("POST /form", FORM, "name=ann&age=41", 200),
        ("GET /state", "", "", 200),
        ("POST /created", "", "", 201),
        ("GET /nothing", "", "", 204),
        ("GET /api/users/7", "", "", 200),
        ("GET /api/users/x", "", "", 400),
        ("POST /upload", PARTS, parts, 200),
        ("GET /none", "", "", 404),
        ("DELETE /", "", "", 405),
    ] {
        // The body of an answer to HEAD is none, whatever its length.
        let ask = |address| match line.starts_with("HEAD") {
            false => ask(address, line, fields, body),
            true => {
                let mut connection = connect(address);
                let request = format!("{line} HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
                connection.get_mut().write_all(request.as_bytes()).expect("it is sent");
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    connection.read_line(&mut head).expect("a line");
                }
                assert!(head.contains("content-length: 4\r\n"), "{head}");
                read_answer(&mut connection)
            }
        };
        let answer = ask(ours.address);
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_eq!(answer, ask(theirs.address), "{line}");
    }
}

#[test]
fn row_2_limits_of_bodies_are_413_and_the_connection_ends_in_order() {
    let echo = || post(|body: String| async move { body });
    let router = Router::new()
        .route("/default", echo().layer(DefaultBodyLimit::max(10)))
        .route("/layer", echo().layer(RequestBodyLimitLayer::new(10)));
    let server = ours(router);
    for path in ["/default", "/layer"] {
        let mut connection = connect(server.address);
        assert_eq!(send(&mut connection, &format!("POST {path}"), "", "12345").text(), "12345");
        assert_eq!(send(&mut connection, &format!("POST {path}"), "", "12345678901").status, 413, "{path}");
        let next = send(&mut connection, &format!("POST {path}"), "", "67890");
        assert_eq!((next.status, next.text()), (200, "67890"), "{path}: the connection is usable");
    }
}

#[test]
fn row_3_layers_have_their_effects() {
    let id = HeaderName::from_static("x-request-id");
    let router = Router::new()
        .route("/long", get(|| async { "x".repeat(10_000) }))
        .route("/panic", get(panics))
        .layer(CatchPanicLayer::new())
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(PropagateRequestIdLayer::new(id.clone()))
        .layer(SetRequestIdLayer::new(id, MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(tower::limit::ConcurrencyLimitLayer::new(10));
    let server = ours(router);
    let answer = ask(server.address, "GET /long", "accept-encoding: gzip\r\norigin: http://b\r\n", "");
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 1_000 && answer.body.starts_with(&[0x1f, 0x8b]), "{}", answer.body.len());
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.field("x-request-id").map(str::len), Some(36));
    let own = ask(server.address, "GET /long", "x-request-id: mine\r\n", "");
    assert_eq!((own.field("x-request-id"), own.body.len()), (Some("mine"), 10_000));
    assert_eq!(get_from(server.address, "/panic").status, 500, "caught by the layer, as text");
    assert_eq!(get_from(server.address, "/panic").field("connection"), None, "and the connection goes on");
}

async fn panics() -> &'static str {
    panic!("a handler")
}

/// Counts requests in a generic server.
struct Counter(u32);

struct Count;

impl GenServer for Counter {
    type Args = ();
    async fn init((): ()) -> Result<Self, riot_actor::gen_server::Stop> {
        Ok(Self(0))
    }
}

impl riot_actor::gen_server::Call<Count> for Counter {
    type Reply = u32;
    async fn call(&mut self, Count: Count) -> u32 {
        self.0 += 1;
        self.0
    }
}

#[test]
fn row_4_events_channels_and_processes_work_in_handlers() {
    let events = || async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        // The sender is a process of ours, the channel tokio's.
        riot_actor::spawn(async move {
            for number in 0..3 {
                riot_actor::sleep(Duration::from_millis(10)).await;
                let _ = sender.send(Event::default().data(number.to_string())).await;
            }
        });
        Sse::new(stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
        }))
    };
    let called = || async {
        let counter = Counter::start_link(()).await.expect("it starts");
        let first = counter.call(Count).await.expect("it answers");
        let main = riot_actor::this();
        riot_actor::spawn(async move { riot_actor::send(main, first + 1) });
        let second: u32 = riot_actor::receive().await;
        riot_actor::sleep(Duration::from_millis(1)).await;
        format!("{first} {second} {}", counter.call(Count).await.expect("it answers"))
    };
    let server = ours(Router::new().route("/events", get(events)).route("/called", get(called)));
    assert_eq!(get_from(server.address, "/called").text(), "1 2 2");
    let mut connection = connect(server.address);
    connection.get_mut().write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").expect("it is sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        connection.read_line(&mut head).expect("a line");
    }
    assert!(head.contains("text/event-stream"), "{head}");
    for number in 0..3 {
        let chunk = read_chunk(&mut connection).expect("an event");
        assert_eq!(String::from_utf8_lossy(&chunk), format!("data: {number}\n\n"), "one by one");
    }
    assert_eq!(read_chunk(&mut connection), None);
}

#[test]
fn row_5_a_time_limit_is_408_in_time() {
    let slow = get(|| tokio::time::sleep(Duration::from_secs(60)));
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(200));
    let server = ours(Router::new().route("/", slow).layer(layer));
    let began = Instant::now();
    assert_eq!(get_from(server.address, "/").status, 408);
    let took = began.elapsed();
    // 50 ms more on a machine that does nothing else.
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn row_6_files_are_served_with_ranges_and_conditions() {
    let folder = std::env::temp_dir().join(format!("riot-tower-table-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("digits.txt"), "0123456789").expect("a file");
    let router = || {
        Router::new()
            .nest_service("/files", ServeDir::new(&folder))
            .route_service("/one", ServeFile::new(folder.join("digits.txt")))
    };
    let (ours, theirs) = (ours(router()), theirs(router()));
    let since = "if-modified-since: Sun, 01 Jan 2090 00:00:00 GMT\r\n";
    for (path, fields, status, body) in [
        ("/files/digits.txt", "", 200, "0123456789"),
        ("/one", "", 200, "0123456789"),
        ("/files/digits.txt", "range: bytes=2-4\r\n", 206, "234"),
        ("/files/digits.txt", since, 304, ""),
        ("/files/none.txt", "", 404, ""),
        ("/files/../Cargo.toml", "", 404, ""),
    ] {
        let answer = ask(ours.address, &format!("GET {path}"), fields, "");
        assert_eq!((answer.status, answer.text()), (status, body), "{path} {fields}");
        assert_eq!(answer, ask(theirs.address, &format!("GET {path}"), fields, ""), "{path} {fields}");
    }
    fs::remove_dir_all(&folder).expect("it is removed");
}

#[test]
fn row_7_a_silent_stream_of_events_is_kept_alive() {
    let silent = || async {
        let never = stream::pending::<Result<Event, Infallible>>();
        Sse::new(never).keep_alive(KeepAlive::new().interval(Duration::from_millis(100)).text("still here"))
    };
    let server = ours(Router::new().route("/", get(silent)));
    let mut connection = connect(server.address);
    let began = Instant::now();
    connection.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("it is sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        connection.read_line(&mut head).expect("a line");
    }
    for nth in 1..=3 {
        let chunk = read_chunk(&mut connection).expect("a comment");
        assert_eq!(String::from_utf8_lossy(&chunk), ": still here\n\n");
        assert!(began.elapsed() >= nth * Duration::from_millis(100), "{:?}", began.elapsed());
    }
}

/// Tasks that have outlived their handler.
static OUTLIVED: LazyLock<(mpsc::SyncSender<()>, std::sync::Mutex<mpsc::Receiver<()>>)> =
    LazyLock::new(|| {
        let (sender, receiver) = mpsc::sync_channel(1);
        (sender, receiver.into())
    });

#[test]
fn row_8_tasks_timers_sockets_and_blocking_work_of_tokio() {
    let all = || async {
        let task = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            "task"
        });
        let blocking = tokio::task::spawn_blocking(|| "blocking");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
        let peers =
            accepted.expect("a client").1 == connected.expect("a server").local_addr().expect("bound");
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = OUTLIVED.0.send(());
        });
        format!("{} {} {peers}", task.await.expect("no panic"), blocking.await.expect("no panic"))
    };
    let server = ours(Router::new().route("/", get(all)));
    let answer = ask(server.address, "GET /", "connection: close\r\n", "");
    assert_eq!(answer.text(), "task blocking true");
    let outlived = OUTLIVED.1.lock().expect("no panic").recv_timeout(Duration::from_secs(20));
    assert_eq!(outlived, Ok(()), "a task outlives its handler, as tokio's do");
}

async fn failed(error: BoxError) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// A policy that tries again, with a pause of tokio's, while the response is an error.
#[derive(Clone)]
struct Again(tower::retry::backoff::ExponentialBackoff);

impl<E> tower::retry::Policy<Request, axum::response::Response, E> for Again {
    type Future = tokio::time::Sleep;
    fn retry(
        &mut self,
        _: &mut Request,
        result: &mut Result<axum::response::Response, E>,
    ) -> Option<tokio::time::Sleep> {
        use tower::retry::backoff::Backoff;
        result
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error())
            .then(|| self.0.next_backoff())
    }
    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        let mut copy = Request::new(Body::empty());
        *copy.uri_mut() = request.uri().clone();
        Some(copy)
    }
}

/// A route for each layer.
fn layers() -> Router {
    use tower::retry::backoff::{ExponentialBackoffMaker, MakeBackoff};
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    let layered = |service: axum::routing::MethodRouter, layer: fn(axum::routing::MethodRouter) -> Router| {
        layer(service)
    };
    let slow = || get(|| tokio::time::sleep(Duration::from_secs(60)));
    let quick = || get(|| async { "quick" });
    let timeout = layered(slow(), |service| {
        let stack = ServiceBuilder::new()
            .layer(HandleErrorLayer::new(failed))
            .layer(tower::timeout::TimeoutLayer::new(Duration::from_millis(50)));
        Router::new().route("/timeout", service.layer(stack))
    });
    let rate = layered(quick(), |service| {
        let stack = ServiceBuilder::new()
            .layer(HandleErrorLayer::new(failed))
            .buffer(16)
            .rate_limit(1, Duration::from_millis(200));
        Router::new().route("/rate", service.layer(stack))
    });
    let ready = layered(quick(), |service| {
        let stack = ServiceBuilder::new()
            .layer(HandleErrorLayer::new(failed))
            .buffer(4)
            .layer(tower::spawn_ready::SpawnReadyLayer::new());
        Router::new().route("/ready", service.layer(stack))
    });
    let mut maker = ExponentialBackoffMaker::new(
        Duration::from_millis(5),
        Duration::from_millis(50),
        0.5,
        tower::util::rng::HasherRng::new(),
    )
    .expect("the times are in order");
    let retried = get(|| async {
        match TRIED.fetch_add(1, SeqCst) {
            0 | 1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            tried => format!("tried {}", tried + 1).into_response(),
        }
    })
    .layer(tower::retry::RetryLayer::new(Again(maker.make_backoff())));
    let hedged = service_fn(|request: Request| async move {
        let inner = service_fn(|_: Request| async {
            static ASKED: AtomicUsize = AtomicUsize::new(0);
            if ASKED.fetch_add(1, SeqCst).is_multiple_of(2) {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Ok::<_, std::io::Error>("hedged".into_response())
        });
        let hedge = tower::hedge::Hedge::new(inner, Copied, 0, 0.5, Duration::from_secs(1));
        let answer = tower::ServiceExt::oneshot(hedge, request).await;
        Ok::<_, Infallible>(answer.unwrap_or_else(|error| error.to_string().into_response()))
    });
    Router::new()
        .merge(timeout)
        .merge(rate)
        .merge(ready)
        .route("/retry", retried)
        .route_service("/hedge", hedged)
}

#[test]
fn row_9_layers_of_tower_that_use_timers_and_tasks() {
    let server = ours_with(layers, |server| server);
    let late = get_from(server.address, "/timeout");
    assert_eq!((late.status, late.text()), (503, "request timed out"));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(get_from(server.address, "/rate").text(), "quick");
    }
    assert!(began.elapsed() >= Duration::from_millis(400), "one in 200 ms: {:?}", began.elapsed());
    assert_eq!(get_from(server.address, "/ready").text(), "quick");
    assert_eq!(get_from(server.address, "/retry").text(), "tried 3");
    assert_eq!(get_from(server.address, "/hedge").text(), "hedged");
}

/// Every request may be sent twice.
#[derive(Clone)]
struct Copied;

impl tower::hedge::Policy<Request> for Copied {
    fn clone_request(&self, request: &Request) -> Option<Request> {
        let mut copy = Request::new(Body::empty());
        *copy.uri_mut() = request.uri().clone();
        Some(copy)
    }
    fn can_retry(&self, _: &Request) -> bool {
        true
    }
}

#[test]
fn row_10_the_client_s_address_is_known_also_behind_the_proxy_protocol() {
    let address = get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() });
    let router = Router::new().route("/", address);
    let direct = ours(router.clone());
    let mut connection = connect(direct.address);
    let own = connection.get_ref().local_addr().expect("it is connected").to_string();
    assert_eq!(send(&mut connection, "GET /", "", "").text(), own);
    let behind =
        ours_with(move || router, |server| server.handshake(riot_socket::proxy::ProxyProtocol::required()));
    let mut connection = connect(behind.address);
    connection.get_mut().write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n").expect("it is sent");
    assert_eq!(send(&mut connection, "GET /", "", "").text(), "192.0.2.7:4711");
}
