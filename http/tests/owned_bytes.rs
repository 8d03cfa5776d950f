//! Bytes of a response that own a value of the handler's: their destructor is code of the user (F19).
#![cfg(feature = "driver")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use riot_actor::{Reason, process::tree, simulation::Simulation, sleep, timeout};
use riot_http::{BodyWriter, Reqd, Response, Server, ServerHandle};
use riot_socket::{Connection, memory::Listener};

const SEEDS: Range<u64> = 0..20;
const MS: Duration = Duration::from_millis(1);

/// Below and above what is copied behind the head of a response.
const SIZES: [usize; 2] = [100, 20_000];

/// Bytes with a destructor.
struct Owned<F: FnMut()>(Vec<u8>, F);

impl<F: FnMut()> AsRef<[u8]> for Owned<F> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<F: FnMut()> Drop for Owned<F> {
    fn drop(&mut self) {
        (self.1)();
    }
}

fn owned(size: usize, when_dropped: impl FnMut() + Send + 'static) -> Bytes {
    Bytes::from_owner(Owned(vec![b'x'; size], when_dropped))
}

async fn ask(listener: &Listener, path: &str) -> Result<Connection, Reason> {
    let mut client = listener.connect()?;
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
    Ok(client)
}

/// Reads a response to its end, which the client waits for no longer than a second.
async fn hear(client: &mut Connection) -> Vec<u8> {
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 100_000]);
    while let Ok(Ok(read @ 1..)) = timeout(1000 * MS, client.read(&mut buffer)).await {
        heard.extend_from_slice(&buffer[..read]);
    }
    heard
}

#[test]
fn f19_bytes_whose_destructor_panics_cost_nothing() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .handler(|reqd: Reqd| async move {
                let bytes = owned(SIZES[1], || panic!("a destructor"));
                if reqd.request().path() == "/whole" {
                    let _ = reqd.respond_with_bytes(Response::ok(), bytes);
                    return;
                }
                let mut writer = reqd.respond_with_streaming(Response::ok()).expect("it can be answered");
                let _ = writer.write(bytes).await;
                let _ = writer.write("the end").await;
                let _ = writer.close();
            })
            .start_link()
            .await?;
        for path in ["/whole", "/streamed"] {
            let mut client = ask(&listener, path).await?;
            let first = hear(&mut client).await;
            assert!(first.len() > SIZES[1] && first.ends_with(if path == "/whole" { b"x" } else { b"\r\n" }));
            // The connection goes on.
            client.write_all(b"GET /whole HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            assert!(hear(&mut client).await.len() > SIZES[1]);
            drop(client);
        }
        sleep(10 * MS).await;
        assert_eq!((server.info().ended.crashed, server.info().ended.normal), (0, 2));
        Ok::<(), Reason>(())
    });
}

/// A body that the destructor of its own bytes drops, and a server that it looks at.
type Held = Arc<Mutex<Option<BodyWriter>>>;

fn touches(held: &Held, server: &Arc<Mutex<Option<ServerHandle>>>) -> impl FnMut() + Send + use<> {
    let (held, server) = (held.clone(), server.clone());
    move || {
        let writer = held.lock().expect("no panic").take();
        drop(writer);
        if let Some(server) = &*server.lock().expect("no panic") {
            let _ = (server.connections(), server.info());
        }
    }
}

#[test]
fn f19_bytes_whose_destructor_uses_their_connection_block_nothing() {
    for size in SIZES {
        Simulation::sweep(SEEDS, move || async move {
            let listener = Listener::new();
            let handle = Arc::new(Mutex::new(None));
            let looked_at = handle.clone();
            let server = Server::listen(listener.clone())
                .handler(move |reqd: Reqd| {
                    let looked_at = looked_at.clone();
                    async move {
                        let path = reqd.request().path().to_owned();
                        if path == "/refused" {
                            // The response is refused: its length is wrong.
                            let bytes = owned(size, touches(&Held::default(), &looked_at));
                            let response = Response::ok().header(
                                riot_http::http::header::CONTENT_LENGTH,
                                riot_http::http::HeaderValue::from_static("7"),
                            );
                            let _ = reqd.respond_with_bytes(response, bytes);
                            return;
                        }
                        let held = Held::default();
                        let bytes = owned(size, touches(&held, &looked_at));
                        let mut writer =
                            reqd.respond_with_streaming(Response::ok()).expect("it can be answered");
                        if path == "/stalled" {
                            // These wait in front of it, and the client does not take them.
                            let _ = writer.write(vec![b'y'; 1 << 20]).await;
                        }
                        *held.lock().expect("no panic") = Some(writer);
                        let mut writer = held.lock().expect("no panic").take().expect("it is there");
                        writer.write(bytes).await.ok();
                        *held.lock().expect("no panic") = Some(writer);
                        std::future::pending::<()>().await;
                    }
                })
                .start_link()
                .await?;
            *handle.lock().expect("no panic") = Some(server.clone());
            for path in ["/sent", "/refused", "/stalled"] {
                let mut client = ask(&listener, path).await?;
                if path != "/stalled" {
                    assert!(!hear(&mut client).await.is_empty());
                }
                sleep(10 * MS).await;
                drop(client);
                server.wait_for_connections(|connections| connections == 0).await;
            }
            handle.lock().expect("no panic").take();
            sleep(2000 * MS).await;
            assert!(tree().labelled("Connector").is_empty(), "{}", tree());
            Ok::<(), Reason>(())
        });
    }
}
