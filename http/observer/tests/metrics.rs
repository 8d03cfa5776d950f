//! Metrics as other programs read them: OB7.

mod common;

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use common::{
    ask, get,
    openmetrics::{Exposition, parse},
};
use riot_actor::{
    Reason, now, process::processes, runtime::Config, send, simulation::Simulation, sleep, spawn,
};
use riot_http::{Reqd, Response, Server};
use riot_observer::{MetricError, Observer};
use riot_socket::{Connection, memory::Listener};
use riot_supervisor::{Supervisor, process};

const SEEDS: std::ops::Range<u64> = 0..10;
const OPEN: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

/// Starts an observer on a listener of its own.
async fn own(observer: Observer) -> Result<Listener, Reason> {
    let listener = Listener::new();
    observer.listen_on(listener.clone()).start_link().await?;
    Ok(listener)
}

async fn scrape(listener: &Listener) -> Exposition {
    let answer = ask(listener, "GET", "/metrics", OPEN).await;
    assert_eq!(answer.status, 200);
    parse(&answer.body).unwrap_or_else(|error| panic!("{error}\n{}", answer.body))
}

#[test]
fn ob07_the_families_of_the_runtime_and_its_servers_are_what_they_count() {
    Simulation::sweep(SEEDS, || async {
        let (web, listener) = (Listener::new(), own(Observer::new()).await?);
        let server = Server::listen(web.clone()).name("web").max_connections(77).handler(hello);
        let server = server.start_link().await?;
        for _ in 0..5 {
            assert_eq!(get(&web, "/").await.body, "hello");
        }
        server.wait_for_connections(|connections| connections == 0).await;
        let _open = web.connect()?;
        server.wait_for_connections(|connections| connections == 1).await;
        let seen = scrape(&listener).await;
        let of = |name: &str, labels: &[(&str, &str)]| {
            let mut all = vec![("server", "web")];
            all.extend(labels);
            seen.value(name, &all)
        };
        assert_eq!(of("riot_connections", &[("state", "open")]), Some(1.0));
        assert_eq!(of("riot_connections_max", &[]), Some(77.0));
        assert_eq!(of("riot_connections_accepted_total", &[]), Some(6.0));
        assert_eq!(of("riot_connections_ended_total", &[("reason", "normal")]), Some(5.0));
        assert_eq!(of("riot_connections_ended_total", &[("reason", "crashed")]), Some(0.0));
        assert_eq!(of("riot_server_state", &[("state", "running")]), Some(1.0));
        assert_eq!(of("riot_server_state", &[("state", "draining")]), Some(0.0));
        let info = server.info();
        assert_eq!(of("riot_bytes_total", &[("direction", "sent")]), Some(info.bytes_sent as f64));
        assert_eq!(of("riot_bytes_total", &[("direction", "received")]), Some(info.bytes_received as f64));
        assert!(info.bytes_sent > 0);
        // The scrape itself has one connection.
        let own = seen.value("riot_connections", &[("server", "observer"), ("state", "open")]);
        assert_eq!(own, Some(1.0));
        let processes = seen.value("riot_processes", &[]).expect("it is there");
        assert!((processes - processes_now()).abs() <= 5.0, "{processes}");
        assert!(seen.value("riot_processes_spawned_total", &[]) >= Some(processes));
        assert_eq!(seen.0["riot_uptime_seconds"].unit, "seconds");
        Ok::<(), Reason>(())
    });
}

fn processes_now() -> f64 {
    processes().len() as f64
}

#[test]
fn ob07_both_formats_have_the_same_samples() {
    Simulation::sweep(SEEDS, || async {
        let observer = Observer::new().metrics(|out| {
            out.counter("orders_total", &[("shop", "7")], 12_u64)?;
            out.histogram("wait_seconds", &[], &[0.1, 1.0], &[3, 2, 1], 2.5)
        });
        let listener = own(observer).await?;
        let open = ask(&listener, "GET", "/metrics", OPEN).await;
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(open.field("content-type"), Some(kind));
        let plain = get(&listener, "/metrics").await;
        assert_eq!(plain.field("content-type"), Some(PLAIN));
        let samples = |text: &str| {
            // What changes from one scrape to the next is left out.
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let names = lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned());
            let changes =
                |name: &str| ["riot_mailbox", "http_server_"].iter().any(|own| name.starts_with(own));
            names.filter(|name| !changes(name)).collect::<Vec<_>>()
        };
        assert_eq!(samples(&open.body), samples(&plain.body));
        assert!(plain.body.contains("\n# TYPE orders_total counter\norders_total{shop=\"7\"} 12\n"));
        assert!(open.body.contains("\n# TYPE orders counter\norders_total{shop=\"7\"} 12\n"));
        assert!(!plain.body.contains("# UNIT") && !plain.body.contains("# EOF"));
        let seen = parse(&open.body).expect("it is right");
        let bucket = |le: &str| seen.value("wait_seconds_bucket", &[("le", le)]);
        assert_eq!([bucket("0.1"), bucket("1.0"), bucket("+Inf")], [Some(3.0), Some(5.0), Some(6.0)]);
        assert_eq!(seen.value("wait_seconds_sum", &[]), Some(2.5));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob07_hostile_values_of_labels_stay_one_line() {
    let hostile = [
        "a\"b",
        "a\nriot_processes 0",
        "a\\",
        "\\n",
        "\r\n# EOF",
        "}\" 1",
        "\0\x1b[31m\u{85}\u{2028}",
        "ü€😀",
        "",
        " , = {",
        &"é".repeat(5_000),
        &String::from_utf8_lossy(b"/%ff\xff\xfe/\"\n"),
    ]
    .map(str::to_owned);
    Simulation::sweep(SEEDS, move || {
        let hostile = hostile.clone();
        async move {
            let values = hostile.clone();
            let observer = Observer::new().metrics(move |out| {
                out.describe("paths_total", "Paths: \"quoted\" \\ and\nmore.");
                values.iter().try_for_each(|value| out.counter("paths_total", &[("path", value)], 1_u64))
            });
            let listener = own(observer).await?;
            let seen = scrape(&listener).await;
            assert_eq!(seen.0["paths"].help, "Paths: \"quoted\" \\ and\nmore.");
            let shown: Vec<&str> =
                seen.all("paths_total").map(|(labels, _)| labels["path"].as_str()).collect();
            assert_eq!(shown.len(), hostile.len());
            for (shown, value) in shown.into_iter().zip(&hostile) {
                let clean =
                    |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
                let expected: String = value.chars().map(clean).take(512).collect();
                let is_cut = value.len() > 1024;
                assert_eq!(shown, if is_cut { format!("{expected}…") } else { expected });
            }
            let plain = get(&listener, "/metrics").await.body;
            assert_eq!(plain.lines().filter(|line| line.starts_with("paths_total{")).count(), hostile.len());
            Ok::<(), Reason>(())
        }
    });
}

#[test]
fn ob07_a_family_has_a_thousand_series_and_loses_no_count() {
    Simulation::sweep(0..2, || async {
        let observer = Observer::new().metrics(|out| {
            for nth in 0..20_000_u64 {
                let (user, shop) = (nth.to_string(), (nth % 7).to_string());
                out.counter("orders_total", &[("shop", &shop), ("user", &user)], 2_u64)?;
                out.gauge("carts", &[("user", &user), ("session", &user)], 1_u64)?;
                let counts = if nth % 2 == 0 { [1, 0] } else { [0, 1] };
                out.histogram("sizes_bytes", &[("user", &user)], &[1024.0], &counts, 10.0)?;
            }
            (0..1_000).try_for_each(|nth: u64| out.gauge("few", &[("nth", &nth.to_string())], nth))
        });
        let seen = scrape(&own(observer).await?).await;
        for name in ["orders_total", "carts", "sizes_bytes_count"] {
            let count = seen.all(name).count();
            assert!((900..=1_000).contains(&count), "{name}: {count}");
        }
        let sum = |name: &str| seen.all(name).map(|(_, value)| value).sum::<f64>();
        assert_eq!((sum("orders_total"), sum("carts")), (40_000.0, 20_000.0));
        assert_eq!((sum("sizes_bytes_count"), sum("sizes_bytes_sum")), (20_000.0, 200_000.0));
        let overflow = |name: &str| {
            let all = seen.all(name).filter(|(labels, _)| labels["user"] == "overflow");
            all.map(|(labels, _)| labels.clone()).collect::<Vec<_>>()
        };
        // The label with most values gives way, the others keep theirs.
        let shops: Vec<String> =
            overflow("orders_total").iter().map(|labels| labels["shop"].clone()).collect();
        assert_eq!(shops.len(), 7, "{shops:?}");
        assert!(!overflow("carts").is_empty());
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob07_names_and_values_are_refused_at_the_call_and_the_rest_is_shown() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let kept = errors.clone();
    let log = common::Kept::of("riot::observer");
    tracing::subscriber::with_default(log.clone(), || {
        Simulation::sweep(1..2, move || {
            let kept = kept.clone();
            async move {
                let observer = Observer::new()
                    .metrics(move |out| {
                        let refused = [
                            out.counter("orders", &[], 1_u64),
                            out.counter("a b_total", &[], 1_u64),
                            out.counter("orders_total", &[("shop id", "1")], 1_u64),
                            out.counter("orders_total", &[("le", "1")], 1_u64),
                            out.counter("orders_total", &[("a", "1"), ("a", "2")], 1_u64),
                            out.counter("orders_total", &[], -1_i64),
                            out.counter("orders_total", &[], f64::NAN),
                            out.counter("orders_total", &[], f64::INFINITY),
                            out.gauge("riot_processes", &[], 1_u64),
                            out.counter("http_handler_errors_total", &[], 1_u64),
                            out.gauge("process_threads", &[], 1_u64),
                            out.histogram("h", &[], &[1.0, 1.0], &[0, 0, 0], 0.0),
                            out.histogram("h", &[], &[f64::INFINITY], &[0, 0], 0.0),
                            out.histogram("h", &[], &[1.0], &[0], 0.0),
                        ];
                        kept.lock().expect("no panic").extend(refused);
                        out.gauge("right", &[("a", "1")], 1.5)?;
                        kept.lock().expect("no panic").push(out.histogram("right", &[], &[], &[1], 0.0));
                        out.gauge("right", &[("a", "1")], 2.5)
                    })
                    .metrics(|out| {
                        out.gauge("before", &[], 1_u64)?;
                        out.gauge("1wrong", &[], 1_u64)?;
                        out.gauge("after", &[], 1_u64)
                    })
                    .metrics(|_| -> () { panic!("in the program") })
                    .metrics(|out| _ = out.gauge("last", &[], f64::NEG_INFINITY));
                let seen = scrape(&own(observer).await?).await;
                let names = ["right", "before", "last"];
                for name in names {
                    assert_eq!(seen.all(name).count(), 1, "{name}");
                }
                assert_eq!(seen.value("right", &[("a", "1")]), Some(2.5), "the last value of a gauge counts");
                for name in ["orders", "a b", "h", "1wrong", "after"] {
                    assert!(!seen.0.contains_key(name), "{name}");
                }
                let errors: Vec<_> = seen.all("http_handler_errors_total").collect();
                assert!(errors.len() == 1 && errors[0].0["server"] == "observer", "{errors:?}");
                Ok::<(), Reason>(())
            }
        });
    });
    let errors = errors.lock().expect("no panic");
    let passed: Vec<_> = errors.iter().enumerate().filter(|(_, result)| result.is_ok()).collect();
    assert_eq!(passed, [], "{errors:?}");
    assert_eq!(errors[0], Err(MetricError::NotTotal("orders".into())));
    assert_eq!(errors[14], Err(MetricError::Kind("right".into())));
    let refused: Vec<String> = log.lines().into_iter().filter(|line| line.contains("1wrong")).collect();
    assert_eq!(refused.len(), 1, "{:?}", log.lines());
}

#[test]
fn ob07_restarts_are_counted_by_the_label_of_the_supervisor() {
    Simulation::sweep(SEEDS, || async {
        let listener = own(Observer::new()).await?;
        let runs = Arc::new(AtomicU64::new(0));
        let counted = runs.clone();
        let _supervisor = Supervisor::one_for_one()
            .label("Shop.Sup")
            .intensity(10, Duration::from_secs(1))
            .child(process("clerk", move || {
                let run = counted.fetch_add(1, SeqCst);
                async move {
                    if run < 3 {
                        return Err(Reason::other("out of cheese"));
                    }
                    std::future::pending::<Result<(), Reason>>().await
                }
            }))
            .start_link()
            .await?;
        sleep(Duration::from_secs(1)).await;
        let seen = scrape(&listener).await;
        assert_eq!(seen.value("riot_supervisor_restarts_total", &[("supervisor", "Shop.Sup")]), Some(3.0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob07_mailboxes_are_ranked_by_the_last_scan() {
    Simulation::sweep(SEEDS, || async {
        let listener = own(Observer::new()).await?;
        let busy = spawn(std::future::pending::<()>());
        (0..500_u32).for_each(|number| send(busy, number));
        assert_eq!(scrape(&listener).await.all("riot_mailbox_messages").count(), 0, "no scan has ended yet");
        sleep(Duration::from_secs(1)).await;
        let rank = async |rank| scrape(&listener).await.value("riot_mailbox_messages", &[("rank", rank)]);
        assert_eq!((rank("max").await, rank("p50").await), (Some(500.0), Some(0.0)));
        (0..500_u32).for_each(|number| send(busy, number));
        assert_eq!(rank("max").await, Some(500.0), "the scan is recent");
        sleep(Duration::from_secs(5)).await;
        rank("max").await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rank("max").await, Some(1000.0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob07_the_same_seed_gives_the_same_bytes_and_nothing_of_the_machine_shows() {
    let run = |seed| {
        let text = Arc::new(Mutex::new(String::new()));
        let kept = text.clone();
        Simulation::new(seed).run(async move {
            let listener = own(Observer::new()).await?;
            sleep(Duration::from_secs(7)).await;
            scrape(&listener).await;
            sleep(Duration::from_secs(1)).await;
            let body = get(&listener, "/metrics").await.body;
            *kept.lock().expect("no panic") = body;
            Ok::<(), Reason>(())
        });
        std::mem::take(&mut *text.lock().expect("no panic"))
    };
    for seed in SEEDS {
        let text = run(seed);
        assert!(text.contains("riot_processes ") && text.contains("riot_mailbox_messages"), "{text}");
        assert!(!text.contains("process_cpu") && !text.contains("riot_worker"), "{text}");
        assert_eq!(text, run(seed));
    }
}

#[test]
fn ob07_workers_and_the_program_itself_are_shown_on_threads() {
    let reason = Config::new().workers(2).run(async {
        let listener = own(Observer::new()).await?;
        scrape(&listener).await;
        // One of the two is busy for a second.
        let until = now() + Duration::from_millis(1_100);
        while now() < until {
            riot_actor::process::yield_now().await;
        }
        let seen = scrape(&listener).await;
        let busy: Vec<f64> = seen.all("riot_worker_busy_ratio").map(|(_, ratio)| ratio).collect();
        assert_eq!(busy.len(), 2);
        assert!(busy.iter().all(|ratio| (0.0..=1.0).contains(ratio)), "{busy:?}");
        assert!(busy.iter().sum::<f64>() > 0.5, "{busy:?}");
        for name in ["riot_run_queue", "riot_worker_steals_total", "riot_worker_parks_total"] {
            assert_eq!(seen.all(name).count(), 2, "{name}");
        }
        if cfg!(target_os = "linux") {
            let value = |name: &str| seen.value(name, &[]).unwrap_or_default();
            assert!(value("process_resident_memory_bytes") > 1e6);
            assert!(value("process_threads") >= 3.0);
            assert!(
                value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds")
            );
            assert!(value("process_cpu_seconds_total") > 0.0 && value("process_start_time_seconds") > 1.6e9);
        }
        // Nothing to do, and so not busy: the scrape itself is short.
        sleep(Duration::from_millis(1_500)).await;
        let idle: Vec<f64> = scrape(&listener).await.all("riot_worker_busy_ratio").map(|(_, b)| b).collect();
        assert!(idle.iter().all(|ratio| *ratio < 0.5), "{idle:?}");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

#[test]
fn ob07_a_scrape_beside_ten_thousand_connections_is_short() {
    const CONNECTIONS: usize = 10_000;
    let reason = Config::new().workers(2).run(async {
        let (web, listener) = (Listener::new(), own(Observer::new()).await?);
        let server = Server::listen(web.clone()).name("web").max_connections(20_000).handler(hello);
        let server = server.start_link().await?;
        let mut clients: Vec<Connection> = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut client = web.connect()?;
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            clients.push(client);
        }
        for client in &mut clients {
            client.read(&mut [0; 1024]).await?;
        }
        let mut times = Vec::new();
        for _ in 0..20 {
            let start = Instant::now();
            let seen = scrape(&listener).await;
            times.push(start.elapsed());
            let open = seen.value("riot_connections", &[("server", "web"), ("state", "open")]);
            assert_eq!(open, Some(CONNECTIONS as f64));
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        println!(
            "a scrape beside {CONNECTIONS} connections: {median:?} (from {:?} to {:?})",
            times[0], times[19]
        );
        // Two in a release build on a quiet machine.
        assert!(median < Duration::from_millis(50), "{times:?}");
        drop(clients);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

/// Returns whether a program is installed; if not, says that the test is skipped.
fn is_installed(program: &str) -> bool {
    let runs = Command::new(program).arg("--version").output().is_ok();
    if !runs {
        eprintln!("SKIPPED: {program} is not installed (Debian: apt-get install prometheus)");
    }
    runs
}

fn with_metrics() -> Observer {
    Observer::new().metrics(|out| {
        out.describe("orders_total", "Orders that were taken.");
        out.counter("orders_total", &[("shop", "a\"b\\c\nd")], 12_u64)?;
        out.describe("wait_seconds", "How long orders wait.");
        out.histogram("wait_seconds", &[], &[0.1, 1.0], &[3, 2, 1], 2.5)
    })
}

#[test]
fn ob07_promtool_finds_nothing_wrong() {
    if !is_installed("promtool") {
        return;
    }
    let reason = Config::new().workers(2).run(async {
        let listener = own(with_metrics()).await?;
        scrape(&listener).await;
        sleep(Duration::from_millis(50)).await;
        let text = get(&listener, "/metrics").await.body;
        let checked = riot_actor::runtime::blocking(move || {
            let mut tool = Command::new("promtool")
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            tool.stdin.take().expect("it is piped").write_all(text.as_bytes())?;
            tool.wait_with_output()
        });
        let output = checked.await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}

/// Ends the program when it is dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ob07_prometheus_scrapes_and_knows_every_sample() {
    if !is_installed("prometheus") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("riot-observer-prometheus-{}", std::process::id()));
    let used = folder.clone();
    let reason = Config::new().workers(2).run(async move {
        let server = with_metrics().bearer("s3cr3t").listen("127.0.0.1:0")?.start_link().await?;
        let target = server.local_addr();
        std::fs::create_dir_all(&used)?;
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: riot\n    authorization:\n      \
             credentials: s3cr3t\n    static_configs:\n      - targets: ['{target}']\n"
        );
        let path = used.join("prometheus.yml");
        std::fs::write(&path, config)?;
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let _prometheus = Running(
            Command::new("prometheus")
                .arg(format!("--config.file={}", path.display()))
                .arg(format!("--storage.tsdb.path={}", used.join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?,
        );
        let query = async |name: &str| {
            let mut client = Connection::connect(&address).await.ok()?;
            let request = format!("GET /api/v1/query?query={name} HTTP/1.0\r\n\r\n");
            client.write_all(request.as_bytes()).await.ok()?;
            let text = client.read_to_end(1 << 20).await.ok()?;
            let text = String::from_utf8(text).ok()?;
            text.contains("\"__name__\"").then_some(text)
        };
        let mut answers = BTreeMap::new();
        let until = now() + Duration::from_secs(60);
        for name in ["up", "orders_total", "wait_seconds_bucket", "riot_processes", "process_open_fds"] {
            while !answers.contains_key(name) {
                assert!(now() < until, "prometheus knows nothing of {name}: {answers:?}");
                sleep(Duration::from_millis(100)).await;
                if let Some(text) = query(name).await {
                    answers.insert(name, text);
                }
            }
        }
        assert!(answers["up"].contains(",\"1\"]"), "{}", answers["up"]);
        assert!(answers["orders_total"].contains(r#""shop":"a\"b\\c\nd""#), "{}", answers["orders_total"]);
        assert!(answers["wait_seconds_bucket"].contains(r#""le":"+Inf""#));
        Ok::<(), Reason>(())
    });
    let _ = std::fs::remove_dir_all(folder);
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}
