//! The end of connections that hyper serves: drains, timers, kills, and clients that leave.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::*;

#[test]
fn tk09_a_request_cut_anywhere_and_large_talk_behind_it_arrive_whole() {
    with_tokio(async {
        let server = server().start_link().await?;
        let text = format!("{UPGRADE}x");
        for cut in 1..text.len() {
            let mut client = connect(&server).await;
            client.write_all(&text.as_bytes()[..cut]).await?;
            // The rest goes in a packet of its own, most of the time.
            sleep(millis(1)).await;
            client.write_all(&text.as_bytes()[cut..]).await?;
            assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
            assert_eq!(read_until(&mut client, "X").await, "X");
        }
        let client = upgrade(&server).await;
        let (mut reader, mut writer) = client.into_split();
        let size = 1024 * 1024;
        spawn(async move { writer.write_all(&vec![b'a'; size]).await });
        let mut heard = vec![0; size];
        reader.read_exact(&mut heard).await?;
        assert!(heard.iter().all(|&byte| byte == b'A'));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_the_connector_stays_until_the_stream_is_dropped() {
    with_tokio(async {
        let (keep, mut kept) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/shout",
            get(move |mut request: Request| {
                let keep = keep.clone();
                async move {
                    let on_upgrade = hyper::upgrade::on(&mut request);
                    tokio::spawn(async move { keep.send(on_upgrade.await) });
                    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.max_connections(1).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let mut client = upgrade(&server).await;
        let stream = kept.recv().await.expect("it is upgraded").map_err(Reason::error)?;
        let connection = server.connections().remove(0);
        assert_eq!((connection.state, connection.requests), ("hyper", 1));
        let ends = monitor(connection.pid);
        let mut second = connect(&server).await;
        second.write_all(UPGRADE.as_bytes()).await?;
        assert_eq!(server.info().active, 1);
        // The permit comes back with the stream.
        drop(stream);
        assert_eq!(rest(&mut client).await, "");
        assert!(read_until(&mut second, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        assert_eq!(ends.down().await.reason, Reason::Normal);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_killed_connector_ends_the_stream() {
    with_tokio(async {
        let server = server().start_link().await?;
        for _ in 0..20 {
            let mut client = upgrade(&server).await;
            is_heard(&mut client, "hello").await;
            let mut other = upgrade(&server).await;
            let of_client = tree().labelled("Connector");
            assert_eq!(of_client.len(), 2);
            let first =
                server.connections().into_iter().min_by_key(|known| known.pid).expect("there are two");
            exit(first.pid, Reason::Kill);
            // One of the two ends.
            until("one has ended", || server.info().active == 1).await;
            let left = server.connections().remove(0).peer;
            let is_first = client.local_address()? == left;
            let (mut alive, mut dead) = if is_first { (client, other) } else { (other, client) };
            rest(&mut dead).await;
            is_heard(&mut alive, "still here").await;
            other = alive;
            drop(other);
            until("both have ended", || server.info().all == 0).await;
        }
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_drain_ends_the_input_of_an_upgraded_stream() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = upgrade(&server).await;
        is_heard(&mut client, "hello").await;
        let report = server.stop(Duration::from_secs(30)).await;
        assert!(report.cut.is_empty(), "{report:?}");
        assert_eq!(rest(&mut client).await, "bye");
        Ok(())
    });
}

#[test]
fn tk09_a_stream_that_does_not_end_is_cut_at_the_deadline() {
    with_tokio(async {
        let (keep, mut kept) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/shout",
            get(move |request: Request| {
                let keep = keep.clone();
                async move {
                    tokio::spawn(async move { keep.send(hyper::upgrade::on(request).await) });
                    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = upgrade(&server).await;
        let stream = kept.recv().await.expect("it is upgraded").map_err(Reason::error)?;
        let mut stream = TokioIo::new(stream);
        let report = server.stop(millis(50)).await;
        assert_eq!(report.cut.len(), 1, "{report:?}");
        assert_eq!(report.cut[0].state, "hyper");
        assert_eq!(rest(&mut client).await, "");
        assert!(stream.write_all(&[0; 10]).await.is_err() || stream.flush().await.is_err());
        Ok(())
    });
}

#[test]
fn tk09_a_stream_that_is_cut_is_reset() {
    with_tokio(async {
        let router = Router::new().route("/shout", get(fill));
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = upgrade(&server).await;
        let sent = || server.connections().first().map_or(0, |connection| connection.bytes_sent);
        until("the client has more to read than it will get", || sent() > 256 * 1024).await;
        let report = server.stop(millis(50)).await;
        assert_eq!(report.cut.len(), 1, "{report:?}");
        let end = client.read_to_end(usize::MAX).await;
        let end = end.map(|bytes| bytes.len()).map_err(|error| error.kind());
        assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
        Ok(())
    });
}

/// Upgrades to a protocol that sends without an end.
async fn fill(request: Request) -> (StatusCode, [(&'static str, &'static str); 2]) {
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let mut stream = TokioIo::new(upgraded);
        while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "shout")])
}

/// A router whose handler says that it runs, and then that its connection drains. It answers when it is told
/// to.
fn held(status: StatusCode) -> (Router, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (tell, told) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let handler = move |request: Request| {
        let (tell, waits) = (tell.clone(), waits.clone());
        async move {
            let _ = tell.send(());
            let signal = request.extensions().get::<DrainSignal>().cloned().expect("it is there");
            tokio::spawn(async move {
                signal.await;
                tell.send(())
            });
            waits.notified().await;
            if status == StatusCode::SWITCHING_PROTOCOLS {
                return shout(request).await;
            }
            (status, "at last").into_response()
        }
    };
    (Router::new().route("/shout", get(handler)), told, go_on)
}

#[test]
fn tk09_a_drain_waits_for_the_response_of_hyper() {
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        with_tokio(async move {
            let (router, mut told, go_on) = held(status);
            let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
            let mut client = connect(&server).await;
            client.write_all(UPGRADE.as_bytes()).await?;
            told.recv().await.expect("the handler runs");
            let (stopping, address) = (server.clone(), client.local_address()?);
            let (main, seconds) = (this(), Duration::from_secs(30));
            spawn(async move { send(main, stopping.stop(seconds).await) });
            told.recv().await.expect("it drains");
            assert_eq!(server.connections()[0].peer, address, "it is still there");
            go_on.notify_one();
            let (head, body) = read_response(&mut client).await;
            if status == StatusCode::OK {
                assert!(head.starts_with("http/1.1 200 ") && body == "at last", "{head}{body}");
                assert!(head.contains("connection: close\r\n"), "{head}");
                assert_eq!(rest(&mut client).await, "");
            } else {
                assert!(head.starts_with("http/1.1 101 ") && !head.contains("close"), "{head}");
                assert_eq!(rest(&mut client).await, "bye");
            }
            let report: DrainReport = receive().await;
            assert!(report.cut.is_empty(), "{report:?}");
            Ok(())
        });
    }
}

#[test]
fn tk09_a_stream_without_bytes_ends_in_time() {
    with_tokio(async {
        let timeouts = ConnectionTimeouts::new().idle_timeout(millis(100));
        let server = changed(|server| server.socket(|socket| socket.connection_timeouts(timeouts)));
        let server = server.start_link().await?;
        let began = now();
        let mut upgraded = upgrade(&server).await;
        let mut waiting = connect(&server).await;
        waiting.write_all(get_with("/pending", ASKS).as_bytes()).await?;
        for client in [&mut upgraded, &mut waiting] {
            rest(client).await;
            assert!(now() - began >= millis(100), "{:?}", now() - began);
        }
        until("both have ended", || server.info().all == 0).await;
        assert_eq!(server.info().timeouts.get("idle"), Some(&2), "{:?}", server.info().timeouts);
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

/// Bytes that a client sends behind its request: fewer than are kept, and more.
const BEHIND: [usize; 2] = [1, 300 * 1024];

#[test]
fn tk09_h12_bytes_behind_a_request_switch_no_timer_off() {
    for behind in BEHIND {
        with_tokio(async move {
            let timeouts = ConnectionTimeouts::new().idle_timeout(millis(100));
            let server = changed(|server| server.socket(|socket| socket.connection_timeouts(timeouts)));
            let server = server.start_link().await?;
            let mut client = connect(&server).await;
            client.write_all(get_with("/pending", ASKS).as_bytes()).await?;
            client.write_all(&vec![b'x'; behind]).await?;
            until("it has ended", || server.info().accepted == 1 && server.info().all == 0).await;
            assert_eq!(server.info().timeouts.get("idle"), Some(&1), "{:?}", server.info().timeouts);
            assert_eq!(server.info().ended.crashed, 0);
            server.stop(Duration::ZERO).await;
            Ok(())
        });
    }
}

#[test]
fn tk09_h12_a_client_that_leaves_behind_its_bytes_is_noticed() {
    for (behind, is_reset) in [(BEHIND[0], true), (BEHIND[0], false), (BEHIND[1], true)] {
        with_tokio(async move {
            let timeouts = Timeouts::new().half_closed_timeout(millis(100));
            let server = changed(|server| {
                let raw = ConnectionTimeouts::none();
                server.timeouts(timeouts).socket(|socket| socket.connection_timeouts(raw))
            });
            let server = server.start_link().await?;
            let mut client = connect(&server).await;
            client.write_all(get_with("/pending", ASKS).as_bytes()).await?;
            client.write_all(&vec![b'x'; behind]).await?;
            until("hyper serves it", || server.connections().iter().any(|known| known.state == "hyper"))
                .await;
            if is_reset {
                client.transport().reset_on_close();
                drop(client);
            } else {
                client.shutdown(Shutdown::Write)?;
            }
            until("it has ended", || server.info().all == 0).await;
            assert_eq!(server.info().timeouts.contains_key("half_closed"), !is_reset);
            assert_eq!(server.info().ended.crashed, 0);
            server.stop(Duration::ZERO).await;
            Ok(())
        });
    }
}

/// A body of pieces, without an end: after so many nothing more comes.
struct Pieces(usize);

impl http_body::Body for Pieces {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        if self.0 == 0 {
            return Poll::Pending;
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(http_body::Frame::data(bytes::Bytes::from_static(&[b'x'; 1024])))))
    }
}

#[test]
fn tk09_h12_clients_that_leave_a_stream_are_noticed() {
    for (pieces, fields) in [(1, ""), (1, ASKS), (usize::MAX, ""), (usize::MAX, ASKS)] {
        with_tokio(async move {
            let router =
                Router::new().route("/events", get(move || async move { Body::new(Pieces(pieces)) }));
            let timeouts = Timeouts::new().half_closed_timeout(millis(100));
            let server = Server::bind("127.0.0.1:0")?
                .timeouts(timeouts)
                .socket(|socket| socket.connection_timeouts(ConnectionTimeouts::none()));
            let server = server.axum(router).upgrade_by_hyper().start_link().await?;
            for (nth, behind) in ["", "x", UPGRADE].into_iter().enumerate() {
                for leave in ["reset", "end", "close"] {
                    // Behind a request of this crate's own HTTP another protocol's bytes are a bad request.
                    if fields.is_empty() && behind == "x" {
                        continue;
                    }
                    let mut client = connect(&server).await;
                    let request = format!("{}{behind}", get_with("/events", fields));
                    client.write_all(request.as_bytes()).await?;
                    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
                    let end = match leave {
                        "reset" => {
                            client.transport().reset_on_close();
                            drop(client);
                            None
                        }
                        "end" => {
                            client.shutdown(Shutdown::Write)?;
                            Some(client)
                        }
                        _ => {
                            drop(client);
                            None
                        }
                    };
                    until(&format!("{pieces} {fields} {nth} {leave}"), || server.info().all == 0).await;
                    drop(end);
                }
            }
            assert_eq!(server.info().ended.crashed, 0);
            server.stop(Duration::ZERO).await;
            Ok(())
        });
    }
}

#[test]
fn tk09_early_talk_arrives_whole() {
    with_tokio(async {
        let (router, mut told, go_on) = held(StatusCode::SWITCHING_PROTOCOLS);
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        for behind in BEHIND {
            let mut client = connect(&server).await;
            client.write_all(UPGRADE.as_bytes()).await?;
            told.recv().await.expect("the handler runs");
            let talk: Vec<u8> = (0..behind).map(|index| b'a' + (index % 23) as u8).collect();
            client.write_all(&talk).await?;
            sleep(millis(10)).await;
            go_on.notify_one();
            assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
            let mut heard = vec![0; behind];
            client.read_exact(&mut heard).await?;
            assert!(heard == talk.to_ascii_uppercase());
            drop(client);
            told.recv().await.expect("the connection has ended");
        }
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_reads_nothing_is_cut() {
    with_tokio(async {
        let timeouts = ConnectionTimeouts::new().write_stall_timeout(millis(100));
        let router = Router::new().route("/shout", get(fill));
        let server = Server::bind("127.0.0.1:0")?.socket(|socket| socket.connection_timeouts(timeouts));
        let server = server.axum(router).upgrade_by_hyper().start_link().await?;
        let _client = upgrade(&server).await;
        until("it is cut", || server.info().all == 0).await;
        assert_eq!(server.info().timeouts.get("write_stall"), Some(&1));
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_leaves_ends_its_connection() {
    with_tokio(async {
        let server = server().start_link().await?;
        // Inside of the request, behind the switch, in the middle of the talk, between two requests.
        let mut client = connect(&server).await;
        client.write_all(&UPGRADE.as_bytes()[..30]).await?;
        drop(client);
        drop(upgrade(&server).await);
        let mut client = upgrade(&server).await;
        client.write_all(&[b'x'; 5000]).await?;
        drop(client);
        let mut client = connect(&server).await;
        ask(&mut client, &get_with("/describe", ASKS)).await;
        drop(client);
        let mut client = connect(&server).await;
        client.write_all(UPGRADE.as_bytes()).await?;
        drop(client);
        until("all have ended", || server.info().accepted == 5 && server.info().all == 0).await;
        assert_eq!(server.info().ended.crashed, 0, "{:?}", server.info().ended);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_that_stops_sending_is_answered_within_its_time() {
    with_tokio(async {
        let timeouts = Timeouts::new().half_closed_timeout(millis(200));
        let (router, mut told, go_on) = held(StatusCode::OK);
        let dropped = Arc::new(Mutex::new(()));
        let weak = Arc::downgrade(&dropped);
        let router = router.layer(axum::middleware::map_request(move |request: Request| {
            let kept = dropped.clone();
            async move {
                let mut request = request;
                request.extensions_mut().insert(kept);
                request
            }
        }));
        let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let before = weak.strong_count();
        for answers in [true, false] {
            let mut client = connect(&server).await;
            client.write_all(UPGRADE.as_bytes()).await?;
            told.recv().await.expect("the handler runs");
            client.shutdown(Shutdown::Write)?;
            let began = now();
            if answers {
                go_on.notify_one();
                let (head, body) = read_response(&mut client).await;
                assert!(head.starts_with("http/1.1 200 ") && body == "at last", "{head}{body}");
            }
            assert_eq!(rest(&mut client).await, "");
            assert!(answers || now() - began >= millis(200), "{:?}", now() - began);
            told.recv().await.expect("the connection has ended");
            until("the handler is dropped", || server.info().all == 0).await;
            assert!(weak.strong_count() <= before, "nothing is left of the request");
        }
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_drain_signal_reaches_requests_of_hyper() {
    with_tokio(async {
        let (tell, mut told) = mpsc::unbounded_channel();
        let router = Router::new().route(
            "/describe",
            get(move |request: Request| {
                let tell = tell.clone();
                async move {
                    let signal = request.extensions().get::<DrainSignal>().cloned().expect("it is there");
                    let _ = tell.send(());
                    signal.await;
                    "drained"
                }
            }),
        );
        let server = Server::bind("127.0.0.1:0")?.axum(router).upgrade_by_hyper().start_link().await?;
        let mut client = connect(&server).await;
        client.write_all(get_with("/describe", ASKS).as_bytes()).await?;
        told.recv().await.expect("the handler runs");
        let report = server.stop(Duration::from_secs(30)).await;
        assert!(report.cut.is_empty(), "{report:?}");
        let (head, body) = read_response(&mut client).await;
        assert!(body == "drained" && head.contains("connection: close\r\n"), "{head}{body}");
        Ok(())
    });
}

#[test]
fn tk09_a_connection_that_drains_already_is_upgraded_and_ends() {
    for (path, status) in [("/shout", "101"), ("/describe", "200"), ("/late/shout", "101"), ("/late", "200")]
    {
        with_tokio(async move {
            let (tell, mut told) = mpsc::unbounded_channel();
            let first = get(move |request: Request| {
                let tell = tell.clone();
                async move { drop(tell.send(request.extensions().get::<DrainSignal>().cloned())) }
            });
            // The server itself ends the input, which is no client that stops sending.
            let timeouts = Timeouts::new().drain_idle_forever().half_closed_timeout(millis(1));
            let late = |request| async move {
                tokio::time::sleep(millis(30)).await;
                shout(request).await
            };
            let router = router().route("/first", first).route("/late/shout", get(late)).route(
                "/late",
                get(|| async {
                    tokio::time::sleep(millis(30)).await;
                    "late"
                }),
            );
            let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router);
            let server = server.upgrade_by_hyper().start_link().await?;
            let mut client = connect(&server).await;
            ask(&mut client, &get_with("/first", "")).await;
            let signal = told.recv().await.flatten().expect("it is there");
            let (main, stopping) = (this(), server.clone());
            spawn(async move { send(main, stopping.stop(Duration::from_secs(30)).await) });
            signal.await;
            let (head, _) = ask(&mut client, &get_with(path, ASKS)).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
            assert_eq!(head.contains("connection: close\r\n"), status == "200", "{head}");
            assert_eq!(rest(&mut client).await, if status == "101" { "bye" } else { "" });
            let report: DrainReport = receive().await;
            assert!(report.cut.is_empty(), "{report:?}");
            Ok(())
        });
    }
}
