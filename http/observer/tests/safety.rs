//! Nothing is shown to those that must not see it: OB12.

mod common;

use std::time::Duration;

use common::{Answer, Kept, ask, ask_from, get};
use riot_actor::{Reason, now, run, runtime::shutdown, simulation::Simulation, sleep};
use riot_http::{Handler, Reqd, Response, Server, ServerStartError};
use riot_observer::{Health, Observer};
use riot_socket::{memory::Listener, proxy::ProxyProtocol};

const SEEDS: std::ops::Range<u64> = 0..10;

/// The credentials of `ops` with the password `Tr0ub4dor&3`, and of the token `s3cr3t-t0k3n`.
const BASIC: &str = "Authorization: Basic b3BzOlRyMHViNGRvciYz\r\n";
const BEARER: &str = "Authorization: Bearer s3cr3t-t0k3n\r\n";

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

fn locked() -> Observer {
    Observer::new().basic_auth("ops", "Tr0ub4dor&3").bearer("s3cr3t-t0k3n")
}

/// Starts a server in memory whose peers are what the PROXY protocol says.
async fn behind_proxy(handler: impl Handler) -> Result<Listener, Reason> {
    let listener = Listener::new();
    let server = Server::listen(listener.clone()).proxy_protocol(ProxyProtocol::required());
    server.handler(handler).start_link().await?;
    Ok(listener)
}

#[test]
fn ob12_without_authentication_it_starts_only_where_this_machine_alone_reaches_it() {
    let path = std::env::temp_dir().join(format!("riot-observer-{}.sock", std::process::id()));
    let reason = run(async move {
        let open = |address: &'static str| async move {
            let observer = Observer::new().listen(address).map_err(ServerStartError::Bind)?;
            observer.start_link().await
        };
        for address in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"] {
            match open(address).await {
                Ok(server) => drop(server.stop(Duration::ZERO).await),
                // A machine without IPv6.
                Err(error) => assert!(address.starts_with('['), "{address}: {error}"),
            }
        }
        let server = Observer::new().listen_unix(&path).start_link().await?;
        server.stop(Duration::ZERO).await;
        let listener = Listener::new();
        let server = Observer::new().listen_on(listener).start_link().await?;
        server.stop(Duration::ZERO).await;
        for started in [
            open("0.0.0.0:0").await,
            Server::bind("0.0.0.0:0")?.handler(Observer::new().mount("/o", hello)).start_link().await,
            // Wrappers pass on where the server listens.
            {
                let mounted = Health::new().mount(Observer::new().mount("/o", hello));
                Server::bind("0.0.0.0:0")?.handler(mounted).start_link().await
            },
            {
                let mounted = locked().mount("/locked", Observer::new().mount("/open", hello));
                Server::bind("0.0.0.0:0")?.handler(mounted).start_link().await
            },
        ] {
            let Err(ServerStartError::Bind(error)) = started else { panic!("{started:?}") };
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains("basic_auth"), "{error}");
        }
        for observer in
            [locked(), Observer::new().bearer("x"), Observer::new().auth(|_| true), locked().with_controls()]
        {
            let server = observer.listen("0.0.0.0:0")?.start_link().await?;
            server.stop(Duration::ZERO).await;
        }
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn ob12_a_handler_that_does_not_know_its_listener_refuses_other_machines_and_says_so_once() {
    let kept = Kept::of("riot::observer");
    tracing::subscriber::with_default(kept.clone(), || {
        Simulation::sweep(1..2, || async {
            let mounted = std::sync::Arc::new(Observer::new().mount("/o", hello));
            // A closure tells nothing of the listener.
            let listener = behind_proxy(move |reqd: Reqd| {
                let mounted = mounted.clone();
                async move { mounted.handle(reqd).await }
            })
            .await?;
            for _ in 0..3 {
                let answer = ask_from("192.0.2.1", &listener, "/o/metrics", "").await;
                assert_eq!(answer.status, 403);
                assert_eq!(ask_from("2001:db8::1", &listener, "/o", "").await.status, 403);
            }
            // What is not the observer's is served, and health needs no authentication.
            assert_eq!(ask_from("192.0.2.1", &listener, "/", "").await.body, "hello");
            assert_eq!(ask_from("192.0.2.1", &listener, "/o/livez", "").await.body, "ok");
            for local in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(ask_from(local, &listener, "/o/metrics", "").await.status, 200, "{local}");
            }
            shutdown(Reason::Normal);
            Ok::<(), Reason>(())
        });
    });
    let lines = kept.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("192.0.2.1:5000"), "{lines:?}");
}

#[test]
fn ob12_on_loopback_without_authentication_the_host_is_this_machine() {
    Simulation::sweep(SEEDS, || async {
        let listener = behind_proxy(Observer::new().mount("/o", hello)).await?;
        let with = async |host: &str| ask_from("127.0.0.1", &listener, "/o/metrics", host).await.status;
        for host in ["localhost", "localhost:4000", "127.0.0.1:80", "[::1]", "LOCALHOST"] {
            assert_eq!(with(&format!("Host: {host}\r\n")).await, 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:4000", "192.0.2.1", ""] {
            assert_eq!(with(&format!("Host: {host}\r\n")).await, 403, "{host}");
        }
        // A browser that was told that a name is this machine may still ask for health.
        let answer = ask_from("127.0.0.1", &listener, "/o/readyz", "Host: evil.example\r\n").await;
        assert_eq!(answer.status, 200);
        // With authentication any host will do.
        let listener = behind_proxy(locked().mount("/o", hello)).await?;
        let fields = format!("Host: ops.example\r\n{BASIC}");
        assert_eq!(ask_from("192.0.2.1", &listener, "/o/metrics", &fields).await.status, 200);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_one_form_of_authentication_is_enough_and_a_wrong_one_is_none() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let observer = locked().auth(|head| head.headers().get_str("x-user") == Some("root"));
        Server::listen(listener.clone()).handler(observer.mount("/o", hello)).start_link().await?;
        let with = async |fields: &str| ask(&listener, "GET", "/o/metrics", fields).await;
        for right in [BASIC, BEARER, "authorization: basic b3BzOlRyMHViNGRvciYz\r\n", "X-User: root\r\n"] {
            assert_eq!(with(right).await.status, 200, "{right}");
        }
        let none = with("").await;
        assert_eq!(none.status, 401);
        let challenges: Vec<&str> = none.all("www-authenticate").collect();
        assert_eq!(
            challenges,
            ["Basic realm=\"riot-observer\", charset=\"UTF-8\"", "Bearer realm=\"riot-observer\""]
        );
        for wrong in [
            "Authorization: Basic b3BzOlRyMHViNGRvciY0\r\n",
            "Authorization: Basic\r\n",
            "Authorization: Bearer b3BzOlRyMHViNGRvciYz\r\n",
            "Authorization: Basic s3cr3t-t0k3n\r\n",
            "Authorization: Bearer s3cr3t-t0k3\r\n",
            "Authorization: Bearer s3cr3t-t0k3n2\r\n",
            "X-User: roots\r\n",
        ] {
            let answer = with(wrong).await;
            assert_eq!((answer.status, answer.body.as_str()), (401, "credentials are needed\n"), "{wrong}");
        }
        // Paths that do not exist tell nothing without credentials either.
        assert_eq!(get(&listener, "/o/nothing").await.status, 401);
        assert_eq!(ask(&listener, "GET", "/o/nothing", BASIC).await.status, 404);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_a_judge_that_panics_accepts_nothing() {
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        let observer = Observer::new().auth(|_| panic!("in the program"));
        Server::listen(listener.clone()).handler(observer.mount("/o", hello)).start_link().await?;
        assert_eq!(get(&listener, "/o/metrics").await.status, 403);
        assert_eq!(get(&listener, "/o/livez").await.status, 200);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_after_ten_failed_logins_a_peer_waits_for_the_end_of_the_minute() {
    Simulation::sweep(SEEDS, || async {
        let listener = behind_proxy(locked().mount("/o", hello)).await?;
        let wrong = "Authorization: Bearer guess\r\n";
        let from = async |peer: &str, fields: &str| ask_from(peer, &listener, "/o/metrics", fields).await;
        // Without credentials there is no attempt.
        for _ in 0..20 {
            assert_eq!(from("192.0.2.1", "").await.status, 401);
        }
        for attempt in 0..10 {
            // A guess at a health path is one as well.
            let path = if attempt % 2 == 0 { "/o/metrics" } else { "/o/readyz?verbose" };
            let status = ask_from("192.0.2.1", &listener, path, wrong).await.status;
            assert_eq!(status, if attempt % 2 == 0 { 401 } else { 200 });
        }
        let refused = from("192.0.2.1", BEARER).await;
        assert_eq!(refused.status, 429, "not even the right one");
        assert_eq!(refused.field("retry-after"), Some("60"));
        assert_eq!(from("192.0.2.2", BEARER).await.status, 200, "another peer");
        sleep(Duration::from_secs(59)).await;
        assert_eq!(from("192.0.2.1", BEARER).await.field("retry-after"), Some("1"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(from("192.0.2.1", BEARER).await.status, 200);
        Ok::<(), Reason>(())
    });
}

/// Returns an answer of every kind.
async fn every_answer(listener: &Listener) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for (method, path) in [
        ("GET", "/o"),
        ("GET", "/o/"),
        ("GET", "/o/metrics"),
        ("HEAD", "/o/metrics"),
        ("POST", "/o/metrics"),
        ("GET", "/o/livez?verbose"),
        ("GET", "/o/readyz?verbose&exclude=none"),
        ("POST", "/o/readyz"),
        ("GET", "/o/nothing"),
        ("GET", "/metrics"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
    ] {
        for fields in ["", BASIC, "Authorization: Bearer wrong\r\n"] {
            let answer = ask(listener, method, path, &format!("{fields}Content-Length: 0\r\n")).await;
            answers.push((format!("{method} {path} {fields}"), answer));
        }
    }
    answers
}

#[test]
fn ob12_every_response_forbids_scripts_frames_and_caches() {
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        let mounted = locked().with_controls().at_root().mount("/o", hello);
        Server::listen(listener.clone()).handler(mounted).start_link().await?;
        let mut answers = every_answer(&listener).await;
        let statuses: std::collections::BTreeSet<u16> =
            answers.iter().map(|(_, answer)| answer.status).collect();
        assert_eq!(statuses, [200, 401, 404, 405].into(), "every kind was asked for");
        for attempt in 0..10 {
            let answer = ask(&listener, "GET", "/o", "Authorization: Bearer wrong\r\n").await;
            answers.push((format!("attempt {attempt}"), answer));
        }
        assert_eq!(answers.last().map(|(_, answer)| answer.status), Some(429));
        for (request, answer) in answers {
            let policy = answer.field("content-security-policy").unwrap_or_default();
            for part in
                ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
            {
                assert!(policy.contains(part), "{request}: {answer:?}");
            }
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.all(name).collect::<Vec<_>>(), [value], "{request}: {name}");
            }
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_no_response_has_a_secret_in_it() {
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        let observer = locked().with_controls().at_root();
        let shown = format!("{observer:?}");
        for secret in ["Tr0ub4dor", "s3cr3t-t0k3n", "b3BzOlRyMHViNGRvciYz"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        // A request that waits has a secret in its query and in its fields.
        let app = |reqd: Reqd| async move {
            if reqd.request().path() == "/wait" {
                std::future::pending::<()>().await;
            }
            hello(reqd).await;
        };
        Server::listen(listener.clone()).handler(observer.mount("/o", app)).start_link().await?;
        let mut waiting = listener.connect()?;
        waiting
            .write_all(b"GET /wait?q=s3cr3t-query HTTP/1.1\r\nHost: a\r\nCookie: s3cr3t-cookie\r\n\r\n")
            .await?;
        let mut answers = every_answer(&listener).await;
        answers.push(("query".into(), ask(&listener, "GET", "/o/metrics?token=s3cr3t-asked", BASIC).await));
        for (request, answer) in answers {
            let text = format!("{answer:?}");
            assert!(!text.contains("s3cr3t") && !text.contains("Tr0ub4dor"), "{request}: {text}");
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_only_what_lies_below_the_prefix_is_taken_from_the_application() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        Server::listen(listener.clone()).handler(Observer::new().mount("/o", hello)).start_link().await?;
        for path in ["/", "/op", "/o.", "/metrics", "/livez", "/readyz", "/observer", "//o", "/O"] {
            assert_eq!(get(&listener, path).await.body, "hello", "{path}");
        }
        for path in ["/o", "/o/", "/o/metrics", "/o/livez"] {
            let answer = get(&listener, path).await;
            assert!(answer.status == 200 && answer.body != "hello", "{path}: {answer:?}");
        }
        let rooted = Listener::new();
        let handler = Observer::new().at_root().mount("/o", hello);
        Server::listen(rooted.clone()).handler(handler).start_link().await?;
        for path in ["/metrics", "/livez", "/readyz"] {
            let (at_root, below) = (get(&rooted, path).await, get(&rooted, &format!("/o{path}")).await);
            assert_eq!((at_root.status, below.status), (200, 200), "{path}");
            assert!(at_root.body != "hello" && below.body != "hello", "{path}");
        }
        assert_eq!(get(&rooted, "/").await.body, "hello");
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_its_own_listener_serves_with_high_priority_and_leaves_room_for_new_clients() {
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        let server = Observer::new().listen_on(listener.clone()).start_link().await?;
        assert_eq!((server.name().as_str(), server.info().max_connections), ("observer", 256));
        // Clients that stay without asking anything make way.
        let mut idle = Vec::new();
        for _ in 0..256 {
            idle.push(listener.connect()?);
        }
        sleep(Duration::from_millis(1)).await;
        for path in ["/livez", "/readyz", "/metrics", "/observer", "/observer/metrics", "/observer/livez"] {
            let start = now();
            assert_eq!(get(&listener, path).await.status, 200, "{path}");
            assert!(now() - start < Duration::from_secs(1), "it waited for {path}");
        }
        assert_eq!(get(&listener, "/").await.status, 404);
        let high = |pid| {
            let info = riot_actor::process::info(pid).expect("it lives");
            info.priority == riot_actor::process::Priority::High
        };
        let connectors = riot_actor::process::tree().labelled("Connector");
        assert!(!connectors.is_empty() && connectors.into_iter().all(high));
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_mistakes_in_the_set_up_panic_in_the_builder() {
    let panics: [fn(); 10] = [
        || drop(Observer::new().mount("", hello)),
        || drop(Observer::new().mount("o", hello)),
        || drop(Observer::new().mount("/o/", hello)),
        || drop(Observer::new().mount("/", hello)),
        || drop(Observer::new().mount("/o?", hello)),
        || drop(Observer::new().mount("/é", hello)),
        || drop(Observer::new().basic_auth("a:b", "c")),
        || drop(Observer::new().basic_auth("a", "")),
        || drop(Observer::new().bearer("a b")),
        || drop(Observer::new().child_spec("observer")),
    ];
    for (nth, panics) in panics.into_iter().enumerate() {
        assert!(std::panic::catch_unwind(panics).is_err(), "{nth}");
    }
}
