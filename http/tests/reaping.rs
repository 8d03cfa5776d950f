//! Idle connections give way to new clients: those between requests, and those before their first.
#![cfg(feature = "driver")]

use std::time::Duration;

use riot_actor::{Reason, simulation::Simulation, sleep};
use riot_http::{Request, Response, Server, Timeouts};
use riot_socket::{Connection, memory::Listener};

async fn asks(client: &mut Connection, path: &str) -> std::io::Result<()> {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
    let mut answer = [0; 1024];
    let read = client.read(&mut answer).await?;
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer[..read]));
    Ok(())
}

fn server(listener: &Listener) -> Server {
    Server::listen(listener.clone()).max_connections(4).reap_oldest_idle()
}

async fn answer(request: Request) -> Response {
    if request.target() == "/slow" {
        sleep(Duration::from_secs(20)).await;
    }
    Response::text("hello")
}

#[test]
fn b20_the_connection_that_has_been_idle_longest_gives_way() {
    for timeouts in
        [Timeouts::new(), Timeouts::new().without_idle_timeout().without_overloaded_idle_timeout()]
    {
        Simulation::sweep(0..20, move || {
            let timeouts = timeouts.clone();
            async move {
                let listener = Listener::new();
                let server = server(&listener).timeouts(timeouts).service(answer).start_link().await?;
                let mut clients = Vec::new();
                for _ in 0..4 {
                    clients.push(listener.connect()?);
                    sleep(Duration::from_secs(1)).await;
                }
                // The first one has an answer under way, the second is the last to ask, the third never asks.
                clients[0].write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await?;
                asks(&mut clients[3], "/").await?;
                sleep(Duration::from_secs(1)).await;
                asks(&mut clients[1], "/").await?;
                // Long enough that the timers of idle connections are checked in between.
                sleep(Duration::from_secs(6)).await;
                for oldest in [2, 3, 1] {
                    let mut new = listener.connect()?;
                    asks(&mut new, "/").await?;
                    assert_eq!(clients[oldest].read(&mut [0]).await?, 0, "{oldest}");
                    new.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await?;
                    clients.push(new);
                }
                let info = server.info();
                assert_eq!((info.active, info.reaped, info.refused), (4, 3, 0));
                let mut answer = [0; 1024];
                assert!(clients[0].read(&mut answer).await? > 0, "a request under way is answered");
                server.stop(Duration::ZERO).await;
                Ok::<(), Reason>(())
            }
        });
    }
}

#[test]
fn b20_a_head_that_has_begun_does_not_give_way() {
    Simulation::sweep(0..20, || async {
        let listener = Listener::new();
        let server = server(&listener).service(answer).start_link().await?;
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = listener.connect()?;
            client.write_all(b"GET / HT").await?;
            clients.push(client);
        }
        sleep(Duration::from_secs(1)).await;
        let mut waiting = listener.connect()?;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(server.info().reaped, 0);
        for client in &mut clients {
            client.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").await?;
            let mut answer = [0; 1024];
            assert!(client.read(&mut answer).await? > 0);
        }
        asks(&mut waiting, "/").await?;
        assert_eq!(server.info().reaped, 1);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}
