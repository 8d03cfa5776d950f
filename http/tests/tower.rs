//! Tower services as handlers: what an adapter has to get right that a router does not show.
#![cfg(all(feature = "driver", feature = "tower"))]

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use riot_actor::{Reason, simulation::Simulation};
use riot_http::{
    Body, OnUpgrade, Server,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use riot_socket::{Connection, memory::Listener};
use tower_service::Service;

/// Goes on in capitals if it is asked to, and if it says so first.
#[derive(Clone)]
struct Shout;

impl Service<Request<Body>> for Shout {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut response = Response::new(String::from("plain"));
            let switch = request.extensions().get::<OnUpgrade>().expect("every request has one");
            if request.uri().path() != "/silent" {
                switch.then(|upgrade| async move {
                    let Ok(mut connection) = upgrade.connection().await else { return };
                    let mut buffer = [0; 64];
                    while let Ok(read @ 1..) = connection.read(&mut buffer).await {
                        if connection.write_all(&buffer[..read].to_ascii_uppercase()).await.is_err() {
                            return;
                        }
                    }
                });
            }
            if request.headers().contains_key(header::UPGRADE) || request.uri().path() == "/unasked" {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("shout"));
            }
            Ok(response)
        })
    }
}

async fn heard(client: &mut Connection, end: &str) -> io::Result<String> {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let mut byte = [0];
        if client.read(&mut byte).await? == 0 {
            break;
        }
        heard.extend(byte);
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

fn request(path: &str, upgrade: bool) -> String {
    let asked = if upgrade { "Connection: upgrade\r\nUpgrade: shout\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{asked}\r\n")
}

#[test]
fn f12_a_service_goes_on_in_another_protocol() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).tower(Shout).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(request("/", false).as_bytes()).await?;
        assert!(heard(&mut client, "plain").await?.starts_with("HTTP/1.1 200 OK\r\n"));
        client.write_all(format!("{}early ", request("/", true)).as_bytes()).await?;
        let head = heard(&mut client, "\r\n\r\n").await?;
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: shout\r\n"), "{head}");
        client.write_all(b"and late").await?;
        assert_eq!(heard(&mut client, "LATE").await?, "EARLY AND LATE");
        assert_eq!(server.connections().len(), 1, "it is in the table as before");
        server.stop(std::time::Duration::from_secs(1)).await;
        assert_eq!(heard(&mut client, "-").await?, "", "and ends with its server");
        assert_eq!((server.info().ended.normal, server.info().ended.crashed), (1, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn f12_an_unrequested_switch_is_an_error_and_one_without_a_protocol_an_end() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let _server = Server::listen(listener.clone()).tower(Shout).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(request("/unasked", false).as_bytes()).await?;
        assert!(heard(&mut client, "\r\n\r\n").await?.starts_with("HTTP/1.1 500 "));
        let mut client = listener.connect()?;
        client.write_all(request("/silent", true).as_bytes()).await?;
        assert!(heard(&mut client, "\r\n\r\n").await?.starts_with("HTTP/1.1 101 "));
        assert_eq!(heard(&mut client, "-").await?, "");
        Ok::<(), Reason>(())
    });
}
