//! Requests that change the program: OB12.

mod common;

use std::time::Duration;

use common::{Answer, ask, get};
use riot_actor::{Pid, Reason, process::info, simulation::Simulation, sleep, spawn, spawn_link, trap_exit};
use riot_http::{Reqd, Response, Server};
use riot_observer::Observer;
use riot_socket::{ServerState, memory::Listener};
use serde_json::{Value, json};

const SEEDS: std::ops::Range<u64> = 0..10;

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

async fn serve(observer: Observer) -> Result<Listener, Reason> {
    let listener = Listener::new();
    observer.listen_on(listener.clone()).start_link().await?;
    Ok(listener)
}

/// Sends an action with these fields.
async fn post(listener: &Listener, body: &str, fields: &str) -> Answer {
    let fields = format!("{fields}Content-Length: {}\r\n\r\n{body}", body.len());
    // The end of the head comes with the body.
    let target = "/observer/api/1/control";
    ask(listener, "POST", target, fields.strip_suffix("\r\n").unwrap_or(&fields)).await
}

async fn token(listener: &Listener) -> String {
    let answer = get(listener, "/observer/api/1/token").await;
    assert_eq!(answer.status, 200);
    answer.body
}

async fn act(listener: &Listener, action: Value) -> (u16, Value) {
    let token = token(listener).await;
    let answer = post(listener, &action.to_string(), &format!("X-Riot-Token: {token}\r\n")).await;
    (answer.status, serde_json::from_str(&answer.body).expect("answers are JSON"))
}

fn sleeper() -> Pid {
    spawn(std::future::pending::<()>())
}

#[test]
fn ob12_without_the_switch_nothing_can_be_changed() {
    Simulation::sweep(SEEDS, || async {
        let listener = serve(Observer::new()).await?;
        let pid = sleeper();
        let body = json!({"action": "kill", "pid": pid.to_string()}).to_string();
        assert_eq!(get(&listener, "/observer/api/1/token").await.status, 403);
        assert_eq!(post(&listener, &body, "X-Riot-Token: \r\n").await.status, 403);
        assert_eq!(post(&listener, &body, "").await.body, "{\"error\":\"controls are off\"}");
        sleep(Duration::from_secs(1)).await;
        assert!(info(pid).is_some());
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_a_change_needs_post_the_token_and_the_same_origin() {
    Simulation::sweep(SEEDS, || async {
        let listener = serve(Observer::new().with_controls()).await?;
        let pid = sleeper();
        let body = json!({"action": "kill", "pid": pid.to_string()}).to_string();
        let token = token(&listener).await;
        assert!(token.len() == 32 && token.bytes().all(|digit| digit.is_ascii_hexdigit()), "{token}");
        let right = format!("X-Riot-Token: {token}\r\n");
        for (fields, status) in [
            (String::new(), 403),
            ("X-Riot-Token: 00000000000000000000000000000000\r\n".into(), 403),
            (format!("{right}Origin: http://evil.example\r\n"), 403),
            (format!("{right}Sec-Fetch-Site: cross-site\r\n"), 403),
            (format!("{right}Host: localhost:4000\r\nOrigin: http://localhost:4001\r\n"), 403),
        ] {
            let answer = post(&listener, &body, &fields).await;
            assert_eq!(answer.status, status, "{fields}");
            assert!(answer.body.starts_with("{\"error\":"), "{}", answer.body);
        }
        let got = ask(&listener, "GET", "/observer/api/1/control", &right).await;
        assert_eq!((got.status, got.field("allow")), (405, Some("POST")));
        sleep(Duration::from_secs(1)).await;
        assert!(info(pid).is_some(), "nothing has been done");
        let same = format!("{right}Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(post(&listener, &body, &same).await.status, 200);
        sleep(Duration::from_secs(1)).await;
        assert!(info(pid).is_none());
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_processes_end_and_what_does_not_exist_is_a_404() {
    Simulation::sweep(SEEDS, || async {
        let listener = serve(Observer::new().with_controls()).await?;
        trap_exit(true);
        let pid = spawn_link(std::future::pending::<()>());
        let action = json!({"action": "exit", "pid": pid.to_string(), "reason": "enough"});
        assert_eq!(act(&listener, action.clone()).await, (200, json!({"ok": true})));
        let exit = riot_actor::receive::<riot_actor::Exit>().await;
        assert_eq!(exit.reason, Reason::other("enough".to_owned()));
        for action in [
            action,
            json!({"action": "kill", "pid": pid.to_string()}),
            json!({"action": "close", "pid": sleeper().to_string()}),
            json!({"action": "suspend", "server": "none"}),
            json!({"action": "set_max_connections", "server": "none", "value": 1}),
        ] {
            assert_eq!(act(&listener, action.clone()).await.0, 404, "{action}");
        }
        for action in [json!({"action": "reboot"}), json!({}), json!({"action": "kill", "pid": "x"})] {
            assert_eq!(act(&listener, action.clone()).await.0, 422, "{action}");
        }
        let large = json!({"action": "exit", "pid": pid.to_string(), "reason": "x".repeat(5_000)});
        assert_eq!(act(&listener, large).await.0, 413);
        Ok::<(), Reason>(())
    });
}

#[test]
fn ob12_servers_are_suspended_resumed_bounded_and_drained_and_connections_closed() {
    Simulation::sweep(SEEDS, || async {
        let (listener, web) = (serve(Observer::new().with_controls()).await?, Listener::new());
        let server = Server::listen(web.clone()).name("web").handler(hello).start_link().await?;
        let ok = (200, json!({"ok": true}));
        assert_eq!(act(&listener, json!({"action": "suspend", "server": "web"})).await, ok);
        assert_eq!(server.info().state, ServerState::Suspended);
        assert_eq!(act(&listener, json!({"action": "resume", "server": "web"})).await, ok);
        assert_eq!(server.info().state, ServerState::Running);
        let bound = json!({"action": "set_max_connections", "server": "web", "value": 3});
        assert_eq!(act(&listener, bound).await, ok);
        assert_eq!(server.info().max_connections, 3);
        let mut client = web.connect()?;
        sleep(Duration::from_millis(10)).await;
        let pid = server.connections()[0].pid;
        assert_eq!(act(&listener, json!({"action": "close", "pid": pid.to_string()})).await, ok);
        assert_eq!(client.read_to_end(1_000).await?, b"");
        // The port of a server that is suspended may be taken meanwhile.
        assert_eq!(act(&listener, json!({"action": "suspend", "server": "web"})).await, ok);
        web.refuse_bind(Some(std::io::ErrorKind::AddrInUse));
        assert_eq!(act(&listener, json!({"action": "resume", "server": "web"})).await.0, 409);
        web.refuse_bind(None);
        assert_eq!(act(&listener, json!({"action": "resume", "server": "web"})).await, ok);
        let twin = Server::listen(Listener::new()).name("web").handler(hello).start_link().await?;
        assert_eq!(act(&listener, json!({"action": "suspend", "server": "web"})).await.0, 409);
        twin.stop(Duration::ZERO).await;
        let drain = json!({"action": "drain", "server": "web", "timeout_ms": 1000});
        assert_eq!(act(&listener, drain).await, ok);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(server.info().state, ServerState::Down);
        Ok::<(), Reason>(())
    });
}
