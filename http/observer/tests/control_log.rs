//! The log of changes. A file of its own: the log is that of the whole program.

mod common;

use common::{Answer, Kept, ask_from};
use riot_actor::{Reason, simulation::Simulation, spawn};
use riot_http::{Reqd, RespondError, Responded, Response, Server};
use riot_observer::Observer;
use riot_socket::memory::Listener;
use serde_json::json;

async fn hello(reqd: Reqd) -> Result<Responded, RespondError> {
    reqd.respond_with_string(Response::ok(), "hello")
}

#[test]
fn ob12_every_change_is_logged_with_its_peer() {
    let kept = Kept::of("riot::observer");
    tracing::subscriber::set_global_default(kept.clone()).expect("there is no other");
    Simulation::sweep(1..2, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone());
        let server = server.proxy_protocol(riot_socket::proxy::ProxyProtocol::required());
        let observer = Observer::new().bearer("s3cr3t").with_controls();
        server.handler(observer.mount("/observer", hello)).start_link().await?;
        let auth = "Authorization: Bearer s3cr3t\r\n";
        let asked = ask_from("192.0.2.7", &listener, "/observer/api/1/token", auth).await;
        let mut client = listener.connect()?;
        let body =
            json!({"action": "kill", "pid": spawn(std::future::pending::<()>()).to_string()}).to_string();
        let request = format!(
            "PROXY TCP4 192.0.2.7 192.0.2.7 5000 80\r\nPOST /observer/api/1/control HTTP/1.1\r\n\
                 Host: a\r\n\
                 Connection: close\r\n{auth}X-Riot-Token: {}\r\nContent-Length: {}\r\n\r\n{body}",
            asked.body,
            body.len()
        );
        client.write_all(request.as_bytes()).await?;
        let answer = Answer::parse(&client.read_to_end(10_000).await?);
        assert_eq!((answer.status, answer.body.as_str()), (200, "{\"ok\":true}"));
        Ok::<(), Reason>(())
    });
    let lines = kept.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("INFO") && lines[0].contains("192.0.2.7:5000"), "{lines:?}");
    assert!(lines[0].contains("Kill(") && !lines[0].contains("s3cr3t"), "{lines:?}");
}
