//! The defects of the example this server descends from, and of its successor: each is shown to be absent.
//! A whole server in simulation, its network in memory.
#![cfg(feature = "driver")]

use std::{io, time::Duration};

use riot_actor::{
    Down, Pid, Reason, exit, monitor, now,
    process::{info, processes, tree},
    receive,
    simulation::Simulation,
    sleep, timeout,
};
use riot_http::{Reqd, Request, Response, Server, ServerHandle, ServerStartError};
use riot_socket::{Connection, Shutdown, memory::Listener};

const SEEDS: std::ops::Range<u64> = 0..25;
const GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async fn hello(request: Request) -> Response {
    match request.path() {
        "/big" => Response::bytes("text/plain", vec![b'x'; 1 << 20]),
        "/crash" => panic!("somebody asked for it"),
        "/slow" => {
            sleep(Duration::from_secs(2)).await;
            Response::text("slow")
        }
        path => Response::text(format!("you asked for {path}")),
    }
}

async fn server() -> (Listener, ServerHandle) {
    let listener = Listener::new();
    let server =
        Server::listen(listener.clone()).acceptors(3).service(hello).start_link().await.expect("it starts");
    (listener, server)
}

/// Reads one answer with a declared length, and gives its status line and body.
async fn answer(client: &mut Connection) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).await.expect("the answer has a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("heads are ASCII").to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it has a length");
    let mut body = vec![0; length.parse().expect("a number")];
    client.read_exact(&mut body).await.expect("the answer has its body");
    (head.lines().next().expect("a status line").to_owned(), String::from_utf8(body).expect("text"))
}

async fn rest(client: &mut Connection) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(all),
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn settle() {
    sleep(Duration::from_millis(20)).await;
}

#[test]
fn d01_a_head_that_spans_two_reads_is_understood() {
    Simulation::sweep(0..3, || async {
        let (listener, _server) = server().await;
        for cut in 1..GET.len() {
            let mut client = listener.connect()?;
            client.write_all(&GET[..cut]).await?;
            settle().await;
            client.write_all(&GET[cut..]).await?;
            assert_eq!(answer(&mut client).await, ("http/1.1 200 ok".into(), "you asked for /hello".into()));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn d02_short_writes_do_not_corrupt_the_stream() {
    Simulation::sweep(SEEDS, || async {
        let (listener, _server) = server().await;
        for bytes in [1, 2, 3, 7, 100] {
            listener.max_transfer(bytes);
            let mut client = listener.connect()?;
            for _ in 0..3 {
                client.write_all(GET).await?;
                assert_eq!(answer(&mut client).await.1, "you asked for /hello");
            }
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn d03_the_answer_to_the_last_request_is_never_cut_off_by_the_end_of_reading() {
    Simulation::sweep(SEEDS, || async {
        let (listener, _server) = server().await;
        let mut client = listener.connect()?;
        client.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        client.shutdown(Shutdown::Write)?;
        // The client takes its time, so the Reader has long ended when the last bytes leave.
        sleep(Duration::from_secs(3)).await;
        assert_eq!((tree().labelled("Reader").len(), tree().labelled("Writer").len()), (0, 1), "{}", tree());
        let (_, body) = answer(&mut client).await;
        assert_eq!(body.len(), 1 << 20);
        assert_eq!(rest(&mut client).await?, b"");
        Ok::<(), Reason>(())
    });
}

#[test]
fn d03_a_client_that_says_it_is_done_sending_still_gets_its_answer() {
    Simulation::sweep(SEEDS, || async {
        let (listener, _server) = server().await;
        let mut client = listener.connect()?;
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(answer(&mut client).await.1, "slow");
        assert_eq!(rest(&mut client).await?, b"");
        Ok::<(), Reason>(())
    });
}

#[test]
fn d04_a_reader_that_ends_takes_no_other_process_with_it() {
    Simulation::sweep(SEEDS, || async {
        let (listener, _server) = server().await;
        let mut client = listener.connect()?;
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        client.shutdown(Shutdown::Write)?;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            (tree().labelled("Reader").len(), tree().labelled("Connector").len()),
            (0, 1),
            "{}",
            tree()
        );
        assert_eq!(answer(&mut client).await.1, "slow");
        Ok::<(), Reason>(())
    });
}

#[test]
fn d05_an_error_of_accept_ends_no_acceptor_and_no_connection() {
    Simulation::sweep(SEEDS, || async {
        let (listener, _server) = server().await;
        let mut live = listener.connect()?;
        live.write_all(GET).await?;
        answer(&mut live).await;
        let acceptors = tree().labelled("Acceptor.Worker");
        for _ in 0..20 {
            listener.fail_accept(io::ErrorKind::ConnectionAborted.into());
        }
        settle().await;
        assert_eq!(tree().labelled("Acceptor.Worker"), acceptors);
        live.write_all(LAST).await?;
        assert_eq!(answer(&mut live).await.1, "you asked for /hello");
        Ok::<(), Reason>(())
    });
}

#[test]
fn d05_acceptors_may_crash_more_than_once_in_the_life_of_a_server() {
    Simulation::sweep(SEEDS, || async {
        let (listener, server) = server().await;
        for _ in 0..10 {
            let victim = tree().labelled("Acceptor.Worker")[0];
            let down = monitor(victim);
            exit(victim, Reason::Kill);
            let Down { .. } = down.down().await;
            sleep(Duration::from_secs(6)).await;
        }
        let mut client = listener.connect()?;
        client.write_all(LAST).await?;
        assert_eq!(answer(&mut client).await.1, "you asked for /hello");
        assert!(info(server.pid().expect("it runs")).is_some());
        Ok::<(), Reason>(())
    });
}

#[test]
fn d06_a_connection_that_ended_is_not_counted_and_leaves_no_process() {
    Simulation::sweep(SEEDS, || async {
        let (listener, server) = server().await;
        let before = processes().len();
        for _ in 0..20 {
            let mut client = listener.connect()?;
            client.write_all(LAST).await?;
            answer(&mut client).await;
            assert_eq!(rest(&mut client).await?, b"");
        }
        settle().await;
        assert_eq!((server.info().active, processes().len()), (0, before), "{}", tree());
        Ok::<(), Reason>(())
    });
}

#[test]
fn d06_an_idle_connection_is_closed_and_a_slow_head_too() {
    Simulation::sweep(SEEDS, || async {
        let (listener, server) = server().await;
        let mut idle = listener.connect()?;
        idle.write_all(GET).await?;
        answer(&mut idle).await;
        let start = now();
        assert_eq!(rest(&mut idle).await?, b"");
        assert_eq!((now() - start).as_secs(), 60);

        let mut slow = listener.connect()?;
        slow.write_all(b"GET / HT").await?;
        let start = now();
        let end = rest(&mut slow).await?;
        assert!(end.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&end));
        assert_eq!((now() - start).as_secs(), 10);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(server.info().active, 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn d06_the_limit_is_kept_and_a_failed_bind_is_reported() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).max_connections(2).service(hello).start_link().await?;
        let mut clients = [listener.connect()?, listener.connect()?, listener.connect()?];
        for client in &mut clients {
            client.write_all(GET).await?;
        }
        settle().await;
        assert_eq!((server.info().active, listener.waiting()), (2, 1));
        let again = Server::listen(listener.clone()).service(hello).start_link().await;
        assert!(
            matches!(again, Err(ServerStartError::Bind(error)) if error.kind() == io::ErrorKind::AddrInUse)
        );
        Ok::<(), Reason>(())
    });
}

#[test]
fn d07_a_crash_is_answered_and_costs_its_own_connection_only() {
    Simulation::sweep(SEEDS, || async {
        let (listener, server) = server().await;
        let mut good = listener.connect()?;
        let mut bad = listener.connect()?;
        bad.write_all(b"GET /crash HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        let (status, _) = answer(&mut bad).await;
        assert_eq!(status, "http/1.1 500 internal server error");
        assert_eq!(rest(&mut bad).await?, b"");
        drop(bad);
        good.write_all(GET).await?;
        assert_eq!(answer(&mut good).await.1, "you asked for /hello");
        settle().await;
        assert_eq!((server.info().ended.crashed, server.info().active), (1, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn h12_a_handler_whose_client_has_gone_is_cancelled() {
    struct Handling;
    struct WasDropped;
    struct Dropped(Pid);
    impl Drop for Dropped {
        fn drop(&mut self) {
            riot_actor::send(self.0, WasDropped);
        }
    }
    Simulation::sweep(SEEDS, || async {
        let watcher = riot_actor::this();
        let listener = Listener::new();
        let handler = move |reqd: Reqd| async move {
            let _reqd = reqd;
            let _dropped = Dropped(watcher);
            riot_actor::send(watcher, Handling);
            std::future::pending::<()>().await;
        };
        let _server = Server::listen(listener.clone()).handler(handler).start_link().await?;
        let (stream, address) = listener.connect_stream()?;
        let mut client = Connection::new(stream.clone(), address);
        client.write_all(GET).await?;
        let Handling = receive().await;
        stream.reset();
        assert!(timeout(Duration::from_secs(1), receive::<WasDropped>()).await.is_ok());
        Ok::<(), Reason>(())
    });
}
