//! Files over real sockets, by the system, and over memory and TLS, by reading them: the same bytes.
#![cfg(feature = "driver")]

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use riot_actor::{Reason, run, simulation::Simulation};
use riot_http::{FilePart, Reqd, Request, Response, Server};
use riot_socket::{Connection, TcpStream, memory::Listener};

const LENGTH: usize = 3_000_000;

fn contents() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

/// A file of its own for each test, removed when dropped.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, contents()).expect("it can be written");
        Self(path)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn service(path: PathBuf) -> impl riot_http::Service {
    move |request: Request| {
        let response = Response::file(request.head(), &path);
        async move { response.unwrap_or_else(|_| Response::not_found()) }
    }
}

/// The bodies of three answers on one connection: a range, the whole, and what comes behind.
async fn bodies(mut client: Connection) -> std::io::Result<()> {
    let requests = "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1000000-2000000\r\n\r\n\
                    HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET / HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=-5\r\nConnection: close\r\n\r\n";
    client.write_all(requests.as_bytes()).await?;
    let mut rest = &client.read_to_end(usize::MAX).await?[..];
    let contents = contents();
    for (status, body) in [
        ("206", &contents[1_000_000..=2_000_000]),
        ("200", &[]),
        ("200", &contents[..]),
        ("206", &contents[LENGTH - 5..]),
    ] {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = str::from_utf8(&rest[..end]).expect("text");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(rest[end..].starts_with(body), "{head}");
        rest = &rest[end + body.len()..];
    }
    assert!(rest.is_empty());
    Ok(())
}

#[test]
fn over_tcp_the_bytes_are_right() {
    let kept = Kept::new("over_tcp");
    let path = kept.0.clone();
    let end = run(async move {
        let server =
            Server::bind("127.0.0.1:0")?.handler(riot_http::service(service(path))).start_link().await?;
        for _ in 0..3 {
            bodies(TcpStream::connect(server.local_addr()).await?.try_into()?).await?;
        }
        assert_eq!(server.stop(Duration::from_secs(5)).await.cut.len(), 0);
        Ok::<(), Reason>(())
    });
    assert_eq!(end, Reason::Normal);
}

#[test]
fn over_memory_the_bytes_are_right() {
    let kept = Kept::new("over_memory");
    let path = kept.0.clone();
    for cut in [10_000, usize::MAX] {
        let path = path.clone();
        Simulation::sweep(0..3, move || {
            let path = path.clone();
            async move {
                let listener = Listener::new();
                listener.max_transfer(cut);
                Server::listen(listener.clone())
                    .handler(riot_http::service(service(path)))
                    .start_link()
                    .await?;
                bodies(listener.connect()?).await?;
                Ok::<(), Reason>(())
            }
        });
    }
}

#[test]
fn reqd_respond_with_file() {
    let kept = Kept::new("respond_with_file");
    let path = kept.0.clone();
    Simulation::sweep(0..3, move || {
        let path = path.clone();
        async move {
            let listener = Listener::new();
            let file = Arc::new(File::open(path)?);
            let handler = move |reqd: Reqd| {
                let part = FilePart::new(file.clone(), 250, 4);
                async move { reqd.respond_with_file(Response::ok(), part) }
            };
            Server::listen(listener.clone()).handler(handler).start_link().await?;
            let mut client = listener.connect()?;
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
            let answer = client.read_to_end(10_000).await?;
            assert!(answer.ends_with(b"\r\n\r\n\xfa\x00\x01\x02"), "{answer:?}");
            assert!(answer.windows(19).any(|part| part == b"content-length: 4\r\n"), "{answer:?}");
            Ok::<(), Reason>(())
        }
    });
}

/// The client leaves in the middle of a file: nothing hangs, nothing is left behind.
#[test]
fn a_client_that_leaves_in_the_middle_of_a_file() {
    let kept = Kept::new("left_in_the_middle");
    let path = kept.0.clone();
    let end = run(async move {
        let server =
            Server::bind("127.0.0.1:0")?.handler(riot_http::service(service(path))).start_link().await?;
        let mut client: Connection = TcpStream::connect(server.local_addr()).await?.try_into()?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        client.read_exact(&mut [0; 1000]).await?;
        drop(client);
        while server.info().active > 0 {
            riot_actor::process::yield_now().await;
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(end, Reason::Normal);
}
