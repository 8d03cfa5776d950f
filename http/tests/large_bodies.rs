//! Whatever clients send, read or leave unread: memory stays where it was. On real sockets, in the memory of
//! this program, one test at a time.
#![cfg(all(feature = "driver", target_os = "linux"))]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use riot_actor::{Reason, process::spawn_monitor, runtime::Config, sleep};
use riot_http::{Request, Response, Server, http::HeaderValue, http::header};
use riot_socket::{Connection, memory::Listener};

#[path = "../examples/routes/mod.rs"]
mod routes;

const MIB: usize = 1024 * 1024;

/// Bounds the memory of one test, all clients together, in bytes. Buffers of the system are not counted.
const GROWTH_MAX: usize = 48 * MIB;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Memory of this program, in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

/// Runs `clients` against a server, and checks that memory has not grown by more than it may.
fn serving(clients: impl FnOnce(SocketAddr, &mut dyn FnMut())) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (started, address) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        Config::new().workers(2).run(async move {
            let server = Server::bind("127.0.0.1:0")?.service(answer).start_link().await?;
            let _ = started.send(server.local_addr());
            while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
                sleep(Duration::from_millis(5)).await;
            }
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        })
    });
    let address = address.recv_timeout(Duration::from_secs(60)).expect("it starts");
    let before = memory();
    clients(address, &mut || {
        let growth = memory().saturating_sub(before);
        assert!(growth <= GROWTH_MAX, "memory has grown by {} MiB", growth / MIB);
    });
    drop(stop);
    assert_eq!(server.join().expect("it does not panic").expect("it runs"), Reason::Normal);
}

async fn answer(request: Request) -> Response {
    match request.path() {
        "/count" => {
            let (_, mut body) = request.into_parts();
            let mut length = 0;
            while let Ok(Some(piece)) = body.chunk().await {
                length += piece.len();
            }
            Response::text(length.to_string())
        }
        "/keep" => {
            let (_, mut body) = request.into_parts();
            let (mut pieces, mut length) = (Vec::new(), 0);
            while let Ok(Some(piece)) = body.chunk().await {
                length += piece.len();
                pieces.push(piece);
            }
            let response = Response::streaming(|mut body| async move {
                for piece in pieces {
                    if body.write(piece).await.is_err() {
                        return;
                    }
                }
                let _ = body.close();
            });
            response.header(header::CONTENT_LENGTH, HeaderValue::from(length))
        }
        "/gigabyte" => {
            let piece = bytes::Bytes::from(vec![b'x'; MIB]);
            let response = Response::streaming(|mut body| async move {
                for _ in 0..1024 {
                    if body.write(piece.clone()).await.is_err() {
                        return;
                    }
                }
                let _ = body.close();
            });
            response.header(header::CONTENT_LENGTH, HeaderValue::from(1024 * MIB))
        }
        _ => routes::routes(request, sleep).await,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it accepts");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    stream
}

fn greets(address: SocketAddr) {
    let mut client = connect(address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("Hello, World!"), "{answer}");
}

#[test]
fn a_gigabyte_comes_in() {
    serving(|address, check| {
        let mut client = connect(address);
        let head = format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1024 * MIB);
        client.write_all(head.as_bytes()).expect("it reads");
        let piece = vec![b'x'; MIB];
        for number in 0..1024 {
            client.write_all(&piece).expect("it reads");
            if number % 64 == 0 {
                check();
            }
        }
        let mut answer = [0; 1024];
        let read = client.read(&mut answer).expect("it answers");
        assert!(answer[..read].ends_with(b"\r\n\r\n1073741824"));
    });
}

#[test]
fn a_gigabyte_goes_out() {
    serving(|address, check| {
        let mut client = connect(address);
        client
            .write_all(b"GET /gigabyte HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let (mut buffer, mut total, mut reads) = (vec![0; 256 * 1024], 0, 0);
        loop {
            let read = client.read(&mut buffer).expect("it answers");
            if read == 0 {
                break;
            }
            total += read;
            reads += 1;
            if reads % 256 == 0 {
                check();
            }
        }
        assert!((1024 * MIB..1024 * MIB + 1024).contains(&total), "{total}");
    });
}

/// More than the blocks that come without a copy, so that copies go on where they end; and all of it as it
/// was sent.
#[test]
fn bodies_that_are_kept_are_what_was_sent() {
    const LENGTH: usize = 2 * MIB;
    serving(|address, check| {
        let clients: Vec<_> = (0..8_usize)
            .map(|number| {
                let mut client = connect(address);
                thread::spawn(move || {
                    let body: Vec<u8> =
                        (0..LENGTH).map(|at| ((at * 31 + at / 251) % 255 + number) as u8).collect();
                    for _ in 0..3 {
                        write!(client, "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n")
                            .expect("it reads");
                        client.write_all(&body).expect("it reads");
                        let mut answer = Vec::new();
                        let mut buffer = vec![0; 64 * 1024];
                        while !answer.ends_with(&body) {
                            match client.read(&mut buffer).expect("it answers") {
                                0 => panic!("cut off after {} bytes", answer.len()),
                                read => answer.extend_from_slice(&buffer[..read]),
                            }
                        }
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("it is as it was sent"));
        check();
    });
}

#[test]
fn clients_that_read_nothing() {
    serving(|address, check| {
        let mut clients = Vec::new();
        for path in ["/bytes/67108864", "/chunked/2048/32768"].repeat(8) {
            let mut client = connect(address);
            write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
            // Its first byte: so the answer has begun.
            client.read_exact(&mut [0]).expect("it answers");
            clients.push(client);
        }
        greets(address);
        check();
        // And those that begin to read get on.
        for client in &mut clients {
            let mut buffer = vec![0; MIB];
            client.read_exact(&mut buffer).expect("it goes on");
        }
        check();
    });
}

#[test]
fn clients_that_send_and_read_nothing() {
    serving(|address, check| {
        let mut clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = connect(address);
                client
                    .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n")
                    .expect("it reads");
                client.set_nonblocking(true).expect("it can be set");
                client
            })
            .collect();
        let (piece, mut sent) = (vec![b'z'; 64 * 1024], vec![0; clients.len()]);
        // Until nobody can send any more.
        let mut still = Instant::now();
        while still.elapsed() < Duration::from_millis(300) {
            for (client, sent) in clients.iter_mut().zip(&mut sent) {
                match client.write(&piece[..piece.len().min(67_108_864 - *sent)]) {
                    Ok(0) => {}
                    Ok(written) => {
                        *sent += written;
                        still = Instant::now();
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                }
            }
        }
        assert!(sent.iter().all(|&sent| sent < 67_108_864), "somebody's bytes went somewhere: {sent:?}");
        greets(address);
        check();
    });
}

#[test]
fn ten_thousand_tiny_chunks() {
    serving(|address, check| {
        let mut client = connect(address);
        let chunks = "1;x=y\r\na\r\n".repeat(1000);
        client
            .write_all(b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .expect("it reads");
        client.write_all("1\r\na\r\n".repeat(10_000).as_bytes()).expect("it reads");
        client.write_all(chunks.as_bytes()).expect("it reads");
        client.write_all(b"0\r\n\r\n").expect("it reads");
        let mut answer = [0; 1024];
        let read = client.read(&mut answer).expect("it answers");
        assert!(answer[..read].ends_with(b"\r\n\r\n11000"));
        check();
    });
}

#[test]
fn ten_thousand_requests_in_one_pipeline() {
    serving(|address, check| {
        let client = connect(address);
        let mut sending = client.try_clone().expect("it can be shared");
        let sender = thread::spawn(move || {
            for number in 0..10_000 {
                write!(sending, "GET /bytes/{} HTTP/1.1\r\nHost: a\r\n\r\n", number % 10).expect("it reads");
            }
        });
        let mut reader = std::io::BufReader::new(client);
        for number in 0..10_000 {
            let mut length = None;
            loop {
                let mut line = String::new();
                std::io::BufRead::read_line(&mut reader, &mut line).expect("it answers");
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse::<usize>().ok();
                }
                if line == "\r\n" {
                    break;
                }
            }
            assert_eq!(length, Some(number % 10), "answer {number}");
            reader.read_exact(&mut vec![0; number % 10]).expect("it answers");
        }
        sender.join().expect("it could send");
        check();
    });
}

/// In memory, for there may be fewer descriptors than that.
#[test]
fn two_thousand_idle_connections() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    const CLIENTS: usize = 2000;
    let reason = Config::new().workers(2).run(async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).service(answer).start_link().await?;
        let before = memory();
        let mut clients: Vec<Connection> = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = listener.connect()?;
            client.write_all(b"GET / HTTP/1.1\r\nHo").await?;
            clients.push(client);
        }
        while server.info().active < CLIENTS {
            sleep(Duration::from_millis(1)).await;
        }
        let growth = memory().saturating_sub(before);
        assert!(growth < 64 * MIB, "{} bytes each", growth / CLIENTS);
        let answers: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                spawn_monitor(async move {
                    client.write_all(b"st: a\r\nConnection: close\r\n\r\n").await?;
                    let (mut answer, mut buffer) = (Vec::new(), [0; 256]);
                    loop {
                        match client.read(&mut buffer).await? {
                            0 => break,
                            read => answer.extend_from_slice(&buffer[..read]),
                        }
                    }
                    assert!(answer.ends_with(b"Hello, World!"));
                    Ok::<(), Reason>(())
                })
            })
            .collect();
        for (_, answer) in answers {
            assert_eq!(answer.down().await.reason, Reason::Normal);
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
