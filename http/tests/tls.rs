//! HTTP over TLS, in simulation: the same answers, and an end that is announced.
#![cfg(feature = "tls")]

use std::time::Duration;

use riot_actor::{Reason, simulation::Simulation};
use riot_http::{Request, Response, Server};
use riot_socket::{
    memory::Listener,
    tls::{Certificate, Roots, Tls, TlsClient},
};

fn pair() -> (Tls, TlsClient) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("it is one");
    (Tls::new(certificate), TlsClient::new(Roots::from_pem(chain.as_bytes()).expect("it is one")))
}

async fn served(length: usize, cut: usize) -> (Listener, TlsClient) {
    let (tls, client) = pair();
    let listener = Listener::new();
    listener.max_transfer(cut);
    let server = Server::listen(listener.clone()).tls(tls).service(move |request: Request| async move {
        Response::text(format!("{} {}", request.target(), "x".repeat(length)))
    });
    server.start_link().await.expect("it starts");
    (listener, client)
}

#[test]
fn answers_over_tls_are_the_same_and_the_end_is_announced() {
    for (length, cut) in [(0, 1), (10, 1000), (1_000_000, usize::MAX)] {
        Simulation::sweep(0..5, move || async move {
            let (listener, client) = served(length, cut).await;
            let mut client =
                client.alpn(["h2", "http/1.1"]).connect(listener.connect()?, "localhost").await?;
            let request = "GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n\
                           GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            client.write_all(request.as_bytes()).await?;
            let answers = client.read_to_end(usize::MAX).await?;
            let answers = String::from_utf8(answers).expect("text");
            assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2);
            assert_eq!(answers.matches('x').count(), 2 * length + answers.matches("text").count());
            let second = answers.find("/second ").expect("it is answered");
            assert!(answers.find("/first ").is_some_and(|first| first < second));
            Ok::<(), Reason>(())
        });
    }
}

/// Sends a request over a session with these names for ALPN, and returns the name that was agreed on.
async fn agreed(listener: &Listener, client: &TlsClient, names: &[&str]) -> std::io::Result<Option<String>> {
    let client = client.clone().alpn(names.iter().map(|name| name.as_bytes()));
    let mut client = client.connect(listener.connect()?, "localhost").await?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let answer = client.read_to_end(usize::MAX).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    let info = client.get::<riot_socket::tls::TlsInfo>().expect("the handshake inserted it");
    Ok(info.alpn.clone().map(|name| String::from_utf8(name).expect("text")))
}

#[test]
fn h18_every_version_that_the_server_speaks_is_offered() {
    Simulation::sweep(0..3, || async {
        let (listener, client) = served(1, usize::MAX).await;
        for (names, wanted) in [
            (&["http/1.1"][..], Some("http/1.1")),
            (&["http/1.0"], Some("http/1.0")),
            (&["http/1.0", "http/1.1"], Some("http/1.1")),
            (&["h2", "http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            assert_eq!(agreed(&listener, &client, names).await?.as_deref(), wanted, "{names:?}");
        }
        for names in [&["h2"][..], &["http/0.9"], &["HTTP/1.1"], &["imap", "h3"]] {
            let refused = agreed(&listener, &client, names).await.expect_err("nothing in common");
            // The alert that RFC 7301 §3.2 demands.
            assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn h18_names_of_the_configuration_come_first() {
    Simulation::sweep(0..3, || async {
        let (tls, client) = pair();
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).tls(tls.alpn(["my-http"]));
        server.service(|_| async { Response::text("hello") }).start_link().await?;
        assert_eq!(agreed(&listener, &client, &["http/1.1", "my-http"]).await?.as_deref(), Some("my-http"));
        assert!(agreed(&listener, &client, &["http/1.1"]).await.is_err());
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    Simulation::sweep(0..5, || async {
        let (listener, client) = served(10_000_000, usize::MAX).await;
        let mut client = client.connect(listener.connect()?, "localhost").await?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        riot_actor::sleep(Duration::from_secs(120)).await;
        let cut = client.read_to_end(usize::MAX).await;
        assert!(cut.is_err(), "{:?}", cut.map(|bytes| bytes.len()));
        Ok::<(), Reason>(())
    });
}

#[test]
fn h13_over_tls_the_scheme_is_https() {
    for (scheme, status) in [("https", "200"), ("http", "421")] {
        Simulation::sweep(0..3, move || async move {
            let (listener, client) = served(1, usize::MAX).await;
            let mut client = client.connect(listener.connect()?, "localhost").await?;
            let request =
                format!("GET {scheme}://localhost/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await?;
            let answer = client.read_to_end(usize::MAX).await?;
            assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{scheme}");
            Ok::<(), Reason>(())
        });
    }
}
