//! The requests that hyper serves, and those that it does not.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::*;

#[test]
fn tk09_an_upgraded_stream_gets_what_came_behind_the_request() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        // A request before it, and two pieces of the other protocol behind it, in one packet.
        let packet = format!("{}{UPGRADE}early ", get_with("/describe", ""));
        let (head, body) = ask(&mut client, &packet).await;
        assert!(head.starts_with("http/1.1 200 ") && body.contains("hyper=false"), "{head}{body}");
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(read_until(&mut client, "EARLY ").await, "EARLY ");
        is_heard(&mut client, "and late").await;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(rest(&mut client).await, "bye");
        until("the Connector has ended", || server.info().active == 0).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_refused_upgrade_is_answered_and_ends_its_connection() {
    with_tokio(async {
        let server = server().start_link().await?;
        for behind in ["", &get_with("/describe", ""), UPGRADE] {
            let mut client = connect(&server).await;
            let refused = get_with("/shout", &format!("X-Refuse: 1\r\n{ASKS}"));
            let (head, body) = ask(&mut client, &format!("{refused}{behind}")).await;
            assert!(head.starts_with("http/1.1 403 ") && body == "not for you", "{head}{body}");
            assert!(head.contains("connection: close\r\n"), "{head}");
            let connections = server.connections();
            assert_eq!((connections[0].state, connections[0].requests), ("hyper", 1));
            client.shutdown(Shutdown::Write)?;
            assert_eq!(rest(&mut client).await, "");
            until("the Connector has ended", || server.info().active == 0).await;
        }
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn h04_tk09_limits_hold_behind_a_refused_upgrade() {
    with_tokio(async {
        let limits = Limits::new().max_body_bytes(1000);
        let server = changed(|server| server.limits(limits)).start_link().await?;
        let post = "POST /describe HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n";
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, post).await;
        assert!(head.starts_with("http/1.1 413 "), "{head}");
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/nowhere", ASKS)).await;
        assert!(head.starts_with("http/1.1 404 "), "{head}");
        // The connection ends before all of it is taken.
        let mut body = post.as_bytes().to_vec();
        body.resize(body.len() + 5_000_000, b'x');
        let _ = client.write_all(&body).await;
        assert_eq!(rest(&mut client).await, "");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_client_has_time_to_read_its_last_response() {
    with_tokio(async {
        let timeouts = Timeouts::new().linger_timeout(Duration::from_secs(60));
        let router = Router::new().route("/shout", get(|| async { vec![b'x'; 4 * 1024 * 1024] }));
        let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let mut client = connect(&server).await;
        // A server that closed at once would reset the connection because of the bytes behind the request.
        client.write_all(format!("{UPGRADE}{}", "y".repeat(20_000)).as_bytes()).await?;
        sleep(millis(20)).await;
        let (head, body) = read_response(&mut client).await;
        assert!(head.starts_with("http/1.1 200 ") && body.len() == 4 * 1024 * 1024, "{head}");
        assert_eq!(server.info().all, 1, "it lingers");
        client.shutdown(Shutdown::Write)?;
        assert_eq!(rest(&mut client).await, "");
        until("it has ended", || server.info().all == 0).await;
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_handler_has_the_time_that_the_server_says() {
    with_tokio(async {
        let timeouts = Timeouts::new().handler_timeout(millis(50));
        let router = Router::new()
            .route("/shout", get(std::future::pending::<&'static str>))
            .route("/body", get(|| async { Body::new(NeverEnds) }));
        let server = Server::bind("127.0.0.1:0")?.timeouts(timeouts).axum(router).upgrade_by_hyper();
        let server = server.start_link().await?;
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, UPGRADE).await;
        assert!(head.starts_with("http/1.1 503 ") && head.contains("connection: close\r\n"), "{head}");
        client.shutdown(Shutdown::Write)?;
        assert_eq!(rest(&mut client).await, "");
        let mut client = connect(&server).await;
        client.write_all(get_with("/body", ASKS).as_bytes()).await?;
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
        assert_eq!(rest(&mut client).await, "");
        until("both have ended", || server.info().all == 0).await;
        assert_eq!(server.info().timeouts.get("handler"), Some(&2), "{:?}", server.info().timeouts);
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

/// A body that never has a piece.
struct NeverEnds;

impl http_body::Body for NeverEnds {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[test]
fn tk09_only_requests_that_ask_for_an_upgrade_touch_hyper() {
    with_tokio(async {
        let server = server().start_link().await?;
        let h2c =
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
        for (fields, by_hyper) in [
            ("", false),
            ("Connection: close\r\n", false),
            ("Upgrade: shout\r\n", false),
            ("Connection: upgrade\r\n", false),
            (h2c, false),
            ("Connection: upgrade\r\nUpgrade: H2C\r\n", false),
            ("Connection: upgrade\r\nUpgrade:\r\n", false),
            (ASKS, true),
            ("connection:\tfoo , UPGRADE\r\nupgrade: h2c, shout/1\r\n", true),
            ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\nContent-Length: 0\r\n", true),
        ] {
            for method in ["GET", "DELETE"] {
                let mut client = connect(&server).await;
                let request = format!("{method} /describe?q=1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
                let (head, body) = ask(&mut client, &request).await;
                assert!(head.starts_with("http/1.1 200 "), "{fields}: {head}");
                let expected =
                    format!("{method} /describe?q=1 hyper={by_hyper} peer=true info=true drain=true");
                assert!(body.starts_with(&expected), "{fields}: {body}");
                let is_of_hyper = server.connections().iter().any(|connection| connection.state == "hyper");
                assert_eq!(is_of_hyper, by_hyper, "{fields}");
                drop(client);
                until("it has ended", || server.info().active == 0).await;
            }
        }
        let mut client = connect(&server).await;
        let (_, body) = ask(&mut client, &format!("GET /describe HTTP/1.0\r\n{ASKS}\r\n")).await;
        assert!(body.contains("hyper=false"), "{body}");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_request_with_a_body_is_not_upgraded() {
    with_tokio(async {
        let server = server().start_link().await?;
        for framing in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        {
            let mut client = connect(&server).await;
            let (_, body) =
                ask(&mut client, &format!("POST /describe HTTP/1.1\r\nHost: a\r\n{ASKS}{framing}")).await;
            assert!(body.starts_with("POST /describe hyper=false"), "{body}");
            // Our own rule holds for a handler that tries to switch all the same.
            let mut client = connect(&server).await;
            let (head, _) =
                ask(&mut client, &format!("GET /shout HTTP/1.1\r\nHost: a\r\n{ASKS}{framing}")).await;
            assert!(head.starts_with("http/1.1 500 "), "{head}");
        }
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_limits_and_framing_are_checked_before_hyper_sees_the_head() {
    with_tokio(async {
        let limits = Limits::new().max_headers(8).max_head_bytes(4096);
        let server = changed(|server| server.limits(limits)).start_link().await?;
        let many = "X-A: b\r\n".repeat(8);
        let large = format!("X-A: {}\r\n", "b".repeat(5000));
        for (fields, status) in [
            (many.as_str(), 431),
            (large.as_str(), 431),
            ("Host: b\r\n", 400),
            ("X : b\r\n", 400),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: gzip\r\n", 501),
        ] {
            let mut client = connect(&server).await;
            let (head, _) = ask(&mut client, &get_with("/describe", &format!("{ASKS}{fields}"))).await;
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{fields}: {head}");
        }
        // A head that is as long as it may be is passed on whole.
        let field = format!("X-Field: {}\r\nCookie: a=b\r\n", "c".repeat(3900));
        let mut client = connect(&server).await;
        let (_, body) = ask(&mut client, &get_with("/describe", &format!("{field}{ASKS}"))).await;
        assert!(body.contains(" cookie=true ") && body.ends_with(&"c".repeat(3900)), "{body}");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_an_expected_100_goes_ahead_and_close_is_obeyed() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut client = connect(&server).await;
        client.write_all(get_with("/shout", &format!("Expect: 100-continue\r\n{ASKS}")).as_bytes()).await?;
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
        assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
        is_heard(&mut client, "hello").await;
        let closes = "Connection: close, upgrade\r\nUpgrade: shout\r\n";
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/describe", closes)).await;
        assert!(head.contains("connection: close\r\n"), "{head}");
        assert_eq!(rest(&mut client).await, "");
        let mut client = connect(&server).await;
        client.write_all(format!("{}x", get_with("/shout", closes)).as_bytes()).await?;
        let head = read_until(&mut client, "\r\n\r\n").await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("close"), "{head}");
        assert_eq!(read_until(&mut client, "X").await, "X");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_a_handler_that_panics_is_500_and_ends_its_connection_alone() {
    with_tokio(async {
        let server = server().start_link().await?;
        let mut other = upgrade(&server).await;
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/panic", ASKS)).await;
        assert!(head.starts_with("http/1.1 500 ") && head.contains("connection: close\r\n"), "{head}");
        assert_eq!(rest(&mut client).await, "");
        until("it has crashed", || server.info().ended.crashed == 1).await;
        is_heard(&mut other, "still here").await;
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}

#[test]
fn tk09_server_names_are_sent() {
    with_tokio(async {
        let name = axum::http::HeaderValue::from_static("riot");
        let server = changed(|server| server.server_name(name)).start_link().await?;
        let mut client = connect(&server).await;
        let (head, _) = ask(&mut client, &get_with("/describe", ASKS)).await;
        assert!(head.contains("server: riot\r\n"), "{head}");
        server.stop(Duration::ZERO).await;
        Ok(())
    });
}
