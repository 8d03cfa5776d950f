//! A handler that asks another server, by hyper's client on our socket. There is no tokio runtime.
//! `cargo run --example hyper_on_our_socket -- --addr 127.0.0.1:8080 --upstream 127.0.0.1:8000`.
//!
//! The driver of the client's connection, which moves the bytes, is a process of its own. It ends with the
//! answer, or when the handler gives up. The answer is passed on as it arrives, no faster than the client
//! reads. Try `python3 -m http.server` as the upstream, and `curl -i localhost:8080/`.

use std::{process::ExitCode, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{client::conn::http1::handshake, header::HOST};
use hyper_util::rt::TokioIo;
use riot_actor::{Reason, runtime::Config, spawn, timeout};
use riot_http::{Request, Response, Server, http, http::StatusCode};
use riot_socket::Connection;

async fn forward(upstream: String, request: Request) -> Response {
    match timeout(Duration::from_secs(2), fetch(&upstream, request.target())).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => Response::text(format!("{error}\n")).status(StatusCode::BAD_GATEWAY),
        Err(late) => Response::text(format!("{late}\n")).status(StatusCode::GATEWAY_TIMEOUT),
    }
}

async fn fetch(upstream: &str, target: &str) -> Result<Response, Reason> {
    let socket = TokioIo::new(Connection::connect(upstream).await?);
    let (mut client, driver) = handshake(socket).await?;
    // Its errors are those of the request, too.
    spawn(async move { drop(driver.await) });
    let request = http::Request::get(target).header(HOST, upstream).body(Empty::<Bytes>::new())?;
    let (head, mut body) = client.send_request(request).await?.into_parts();
    // A body that is not closed is cut off, so that the client sees an answer that broke off.
    let stream = Response::streaming(async move |mut writer| {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return };
            if let Ok(bytes) = frame.into_data()
                && writer.write(bytes).await.is_err()
            {
                return;
            }
        }
        let _ = writer.close();
    });
    Ok(stream.status(head.status))
}

fn main() -> ExitCode {
    let defaults = [("--addr", "127.0.0.1:8080"), ("--upstream", "127.0.0.1:8000")];
    let [address, upstream] = riot_interop::options(defaults);
    Config::new().stop_on_signals().main(async move {
        riot_interop::start_log()?;
        let service = move |request| forward(upstream.clone(), request);
        let server = Server::bind(&*address)?.service(service).start_link().await?;
        println!("listening on http://{}", server.local_addr());
        std::future::pending::<Result<(), Reason>>().await
    })
}
