//! The machine on plain threads and real sockets: what F16 promises a second driver can do.

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Waker},
    thread::{self, Thread},
};

use riot_flow::blocking::{self, Served};
use riot_http::{
    Http1, HttpConfig, Reqd, Request, Response,
    http::{HeaderValue, StatusCode, header},
    serve_requests, service,
};

/// A client's end of a connection whose other end is served by `handler`; how the flow ended comes over the
/// channel.
fn serving(handler: impl riot_http::Handler) -> (TcpStream, mpsc::Receiver<Served>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let (connection, requests) = Http1::new(Arc::new(HttpConfig::new()));
    let connection = Arc::new(Mutex::new(connection));
    let (ended, how) = mpsc::channel();
    thread::spawn(move || block_on(serve_requests(requests, &handler)));
    thread::spawn(move || {
        let served = blocking::serve(connection.clone(), stream).unwrap();
        if let Served::Upgraded(stream, unread) = served {
            connection.lock().unwrap().offer_transport(stream, unread.into());
        } else {
            let _ = ended.send(served);
        }
    });
    (client, how)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn f16_a_large_body_goes_in_and_out_at_once() {
    let (mut client, how) = serving(service(|request: Request| async move {
        let (_, mut incoming) = request.into_parts();
        Response::streaming(|mut body| async move {
            while let Ok(Some(piece)) = incoming.chunk().await {
                if body.write(piece).await.is_err() {
                    return;
                }
            }
            let _ = body.close();
        })
        .header(header::CONTENT_LENGTH, HeaderValue::from_static("5000000"))
    }));
    let body: Vec<u8> = (0..5_000_000u32).map(|number| (number % 251) as u8).collect();
    let (mut sender, sent) = (client.try_clone().unwrap(), body.clone());
    let sending = thread::spawn(move || {
        sender.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n").unwrap();
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    sending.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(&body));
    assert!(matches!(how.recv(), Ok(Served::Closed)));
}

#[test]
fn f16_a_thousand_pipelined_requests() {
    let (mut client, how) = serving(|reqd: Reqd| async move {
        let path = reqd.request().path().to_owned();
        reqd.respond_with_string(Response::ok(), path)
    });
    let input: String =
        (0..1000).map(|number| format!("GET /{number:04} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.write_all(input.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    let paths: Vec<&str> = answers.split("\r\n\r\n").skip(1).map(|body| &body[..5]).collect();
    assert_eq!(paths, (0..1000).map(|number| format!("/{number:04}")).collect::<Vec<_>>());
    assert!(matches!(how.recv(), Ok(Served::Closed)));
}

#[test]
fn f16_a_connection_changes_hands() {
    let (mut client, _how) = serving(|reqd: Reqd| async move {
        let response = Response::new(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::UPGRADE, HeaderValue::from_static("capitals"));
        let upgraded = reqd.respond_with_upgrade(response).unwrap().transport::<TcpStream>().await.unwrap();
        let (mut stream, mut text) = (upgraded.transport, upgraded.unread.to_vec());
        stream.read_to_end(&mut text).unwrap();
        stream.write_all(&text.to_ascii_uppercase()).unwrap();
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: capitals\r\n\r\nfirst")
        .unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    client.write_all(b" and second").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("FIRST AND SECOND"), "{rest}");
}
