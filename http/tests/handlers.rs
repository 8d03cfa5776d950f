//! Handlers and their clients through the driver (H2, H12), in simulation.
#![cfg(feature = "driver")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use riot_actor::{Reason, now, simulation::Simulation, sleep};
use riot_http::{Reqd, Response, Server, ServerHandle};
use riot_socket::{Connection, memory::Listener};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn read_to_end(client: &mut Connection) -> io::Result<String> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 512]);
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(String::from_utf8_lossy(&heard).into_owned()),
            read => heard.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn until_idle(server: &ServerHandle) {
    while server.info().active > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Counts how often work was begun, done, and dropped half-way.
#[derive(Clone, Default)]
struct Work {
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Work {
    async fn run(self, reqd: Reqd) {
        struct Guard(Arc<AtomicUsize>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        self.begun.fetch_add(1, SeqCst);
        let _guard = Guard(self.dropped.clone());
        sleep(Duration::from_secs(5)).await;
        self.done.fetch_add(1, SeqCst);
        let _ = reqd.respond_with_string(Response::ok(), "done");
    }

    fn counts(&self) -> [usize; 3] {
        [&self.begun, &self.done, &self.dropped].map(|count| count.load(SeqCst))
    }
}

/// A client that leaves while its request is handled; says when the connection was gone, and what became of
/// the work.
async fn leave(listener: Listener, cancel: bool, keep: bool) -> Result<(Duration, [usize; 3]), Reason> {
    let work = Work::default();
    let handler = {
        let work = work.clone();
        move |reqd: Reqd| {
            if keep {
                reqd.keep_handler();
            }
            work.clone().run(reqd)
        }
    };
    let mut server = Server::listen(listener.clone());
    if !cancel {
        server = server.keep_handlers();
    }
    let server = server.handler(handler).start_link().await?;
    let (stream, address) = listener.connect_stream()?;
    Connection::new(stream.clone(), address).write_all(GET).await?;
    while work.counts()[0] == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let left = now();
    stream.reset();
    until_idle(&server).await;
    while work.counts()[2] == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let gone = now() - left;
    server.stop(Duration::ZERO).await;
    Ok((gone, work.counts()))
}

#[test]
fn h12_a_client_that_goes_away_takes_its_handler_with_it() {
    Simulation::sweep(0..100, || async {
        let (gone, counts) = leave(Listener::new(), true, false).await?;
        assert_eq!(counts, [1, 0, 1]);
        assert!(gone < Duration::from_millis(100), "{gone:?}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn h12_unless_handlers_are_to_run_to_their_end() {
    Simulation::sweep(0..100, || async {
        let (gone, counts) = leave(Listener::new(), false, false).await?;
        assert_eq!(counts, [1, 1, 1]);
        assert!(gone >= Duration::from_secs(4), "{gone:?}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn h12_unless_this_handler_is_to_run_to_its_end() {
    Simulation::sweep(0..100, || async {
        let (gone, counts) = leave(Listener::new(), true, true).await?;
        assert_eq!(counts, [1, 1, 1]);
        assert!(gone >= Duration::from_secs(4), "{gone:?}");
        Ok::<(), Reason>(())
    });
}

#[test]
fn h12_what_one_request_asked_for_is_not_the_next_ones() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let work = Work::default();
        let counting = work.clone();
        let handler = move |reqd: Reqd| {
            let work = counting.clone();
            async move {
                if work.begun.load(SeqCst) == 0 {
                    reqd.keep_handler();
                }
                work.run(reqd).await;
            }
        };
        let server = Server::listen(listener.clone()).handler(handler).start_link().await?;
        let (stream, address) = listener.connect_stream()?;
        Connection::new(stream.clone(), address).write_all(&[GET, GET].concat()).await?;
        while work.counts()[0] < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        stream.reset();
        until_idle(&server).await;
        assert_eq!(work.counts(), [2, 1, 2], "the second is dropped half-way");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b03_a_client_there_is_no_place_for_is_told_when_to_come_back() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let work = Work::default();
        let server = Server::listen(listener.clone())
            .max_connections(1)
            .busy(Duration::from_secs(30))
            .handler(move |reqd: Reqd| work.clone().run(reqd))
            .start_link()
            .await?;
        let mut served = listener.connect()?;
        served.write_all(GET).await?;
        sleep(Duration::from_secs(1)).await;
        let mut refused = listener.connect()?;
        refused.write_all(GET).await?;
        let answer = read_to_end(&mut refused).await?;
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 30\r\n"),
            "{answer}"
        );
        served.shutdown(riot_socket::Shutdown::Write)?;
        assert!(read_to_end(&mut served).await?.ends_with("done"));
        assert_eq!((server.info().refused, server.info().accepted), (1, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b13_a_connection_says_what_it_is_doing() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let work = Work::default();
        let server = Server::listen(listener.clone())
            .handler(move |reqd: Reqd| work.clone().run(reqd))
            .start_link()
            .await?;
        let seen = async || {
            sleep(Duration::from_millis(10)).await;
            let [connection] = &server.connections()[..] else { panic!("there is one") };
            (connection.state, connection.requests, connection.bytes_received)
        };
        let mut client = listener.connect()?;
        assert_eq!(seen().await, ("idle", 0, 0));
        client.write_all(&GET[..10]).await?;
        assert_eq!(seen().await, ("reading", 0, 10));
        client.write_all(&GET[10..]).await?;
        assert_eq!(seen().await, ("handling", 1, GET.len() as u64));
        client.read(&mut [0; 512]).await?;
        assert_eq!(seen().await.0, "idle");
        assert!(server.connections()[0].bytes_sent > 50);
        client.write_all(GET).await?;
        sleep(Duration::from_millis(10)).await;
        let cut = server.stop(Duration::from_secs(1)).await.cut;
        assert_eq!((cut.len(), cut[0].state, cut[0].requests), (1, "handling", 2));
        Ok::<(), Reason>(())
    });
}

#[test]
fn h12_a_client_that_only_stopped_sending_gets_its_answer() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let work = Work::default();
        let server = Server::listen(listener.clone()).handler(move |reqd: Reqd| work.clone().run(reqd));
        let server = server.start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(GET).await?;
        client.shutdown(riot_socket::Shutdown::Write)?;
        let answer = read_to_end(&mut client).await?;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ndone"), "{answer}");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn h02_a_handler_that_panics_costs_its_client_a_500_and_others_nothing() {
    Simulation::sweep(0..100, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).handler(|reqd: Reqd| async move {
            assert_ne!(reqd.request().path(), "/panic", "asked to");
            let _ = reqd.respond_with_string(Response::ok(), "fine");
        });
        let server = server.start_link().await?;
        let mut other = listener.connect()?;
        let mut client = listener.connect()?;
        // The second request of the pipeline fails; the first keeps its answer, the third gets none.
        let pipeline = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n\
                        GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(pipeline.as_bytes()).await?;
        let heard = read_to_end(&mut client).await?;
        assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 1, "{heard}");
        assert_eq!(heard.matches("HTTP/1.1 500 Internal Server Error").count(), 1, "{heard}");
        other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        assert!(read_to_end(&mut other).await?.ends_with("fine"));
        until_idle(&server).await;
        assert_eq!(server.info().ended.crashed, 1);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

/// A server told to stop while this request is handled: what the client hears, how long it takes, how many
/// were cut.
async fn stopped(path: &'static str, limit: Duration) -> Result<(String, Duration, usize), Reason> {
    let listener = Listener::new();
    let server = Server::listen(listener.clone()).handler(|mut reqd: Reqd| async move {
        match reqd.request().path() {
            "/slow" => {
                sleep(Duration::from_secs(5)).await;
                let _ = reqd.respond_with_string(Response::ok(), "done");
            }
            "/endless" => {
                let Ok(mut body) = reqd.respond_with_streaming(Response::ok()) else { return };
                while body.write("more").await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            "/upload" => {
                let length = reqd.body().bytes(1000).await.map_or(0, |body| body.len());
                let _ = reqd.respond_with_string(Response::ok(), format!("{length} bytes"));
            }
            _ => drop(reqd.respond_with_string(Response::ok(), "at once")),
        }
    });
    let server = server.start_link().await?;
    let mut client = listener.connect()?;
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    sleep(Duration::from_secs(1)).await;
    let start = now();
    let mut late = Connection::new(client.transport().clone(), riot_socket::Address::Memory(0));
    let uploading = riot_actor::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        // It is gone if the answer did not need it.
        let _ = late.write_all(b"body").await;
        std::future::pending::<()>().await;
    });
    let cut = server.stop(limit).await.cut.len();
    let time = now() - start;
    let heard = read_to_end(&mut client).await?;
    riot_actor::exit(uploading, Reason::Kill);
    Ok((heard, time, cut))
}

#[test]
fn f11_what_was_accepted_is_answered_and_says_that_it_was_the_last() {
    Simulation::sweep(0..50, || async {
        let (heard, time, cut) = stopped("/slow", Duration::from_secs(60)).await?;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("done"), "{heard}");
        assert!(heard.contains("connection: close\r\n"), "{heard}");
        assert!(time >= Duration::from_secs(3) && time < Duration::from_secs(8), "{time:?}");
        assert_eq!(cut, 0);
        Ok::<(), Reason>(())
    });
    Simulation::sweep(0..50, || async {
        let (heard, _, cut) = stopped("/upload", Duration::from_secs(60)).await?;
        assert!(heard.ends_with("4 bytes") && heard.contains("connection: close\r\n"), "{heard}");
        assert_eq!(cut, 0, "a body that is on its way is still taken");
        Ok::<(), Reason>(())
    });
}

#[test]
fn f11_what_does_not_end_is_cut_at_the_deadline_and_reported() {
    Simulation::sweep(0..50, || async {
        let (heard, time, cut) = stopped("/endless", Duration::from_secs(20)).await?;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && !heard.ends_with("0\r\n\r\n"), "{heard}");
        assert!(time >= Duration::from_secs(20) && time < Duration::from_secs(21), "{time:?}");
        assert_eq!(cut, 1);
        Ok::<(), Reason>(())
    });
}

/// The ends of the process that handles a request, other than a panic of the handler.
#[derive(Clone, Copy, Debug)]
enum End {
    /// A kill that the handler asks for itself.
    KillsItself,
    /// A kill from outside.
    Killed,
    /// An exit signal from outside.
    Signal,
    /// The death of a process that the handler has linked to.
    LinkedPanics,
    LinkedFails,
    /// The death of the Connector's own helpers.
    ReaderKilled,
    WriterKilled,
}

/// Returns what a client hears whose request is handled by a process that ends so. The head of the response
/// has left before if `begun`; the body of the request is unread if `with_body`.
async fn ended(end: End, begun: bool, with_body: bool) -> Result<String, Reason> {
    let listener = Listener::new();
    let handling = Arc::new(std::sync::Mutex::new(None));
    let here = handling.clone();
    let server = Server::listen(listener.clone()).handler(move |reqd: Reqd| {
        let here = here.clone();
        async move {
            let (_request, responder) = reqd.into_parts();
            let _held = if begun {
                let mut writer = responder.respond_with_streaming(Response::ok()).expect("it is the first");
                writer.write("part").await.expect("the client is there");
                writer.flush().await;
                (None, Some(writer))
            } else {
                (Some(responder), None)
            };
            match end {
                End::KillsItself => riot_actor::exit(riot_actor::this(), Reason::Kill),
                End::LinkedPanics => {
                    riot_actor::spawn_link(async { panic!("a bug") });
                }
                End::LinkedFails => {
                    riot_actor::spawn_link(async { Err::<(), _>(io::Error::other("down")) });
                }
                _ => *here.lock().unwrap() = Some(riot_actor::this()),
            }
            std::future::pending::<()>().await;
        }
    });
    let server = server.start_link().await?;
    let mut client = listener.connect()?;
    let head = if with_body {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi"
    } else {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    };
    client.write_all(head.as_bytes()).await?;
    if matches!(end, End::Killed | End::Signal | End::ReaderKilled | End::WriterKilled) {
        let connector = loop {
            let known = *handling.lock().unwrap();
            match known {
                Some(pid) => break pid,
                None => sleep(Duration::from_millis(1)).await,
            }
        };
        let tree = riot_actor::process::tree();
        match end {
            End::Killed => riot_actor::exit(connector, Reason::Kill),
            End::Signal => riot_actor::exit(connector, io::Error::other("enough").into()),
            End::ReaderKilled => riot_actor::exit(tree.labelled("Reader")[0], Reason::Kill),
            _ => riot_actor::exit(tree.labelled("Writer")[0], Reason::Kill),
        }
    }
    let heard = read_to_end(&mut client).await?;
    until_idle(&server).await;
    server.stop(Duration::ZERO).await;
    Ok(heard)
}

const ENDS: [End; 7] = [
    End::KillsItself,
    End::Killed,
    End::Signal,
    End::LinkedPanics,
    End::LinkedFails,
    End::ReaderKilled,
    End::WriterKilled,
];

#[test]
fn h02_however_the_process_of_a_request_ends_its_client_gets_a_500() {
    for end in ENDS {
        for with_body in [false, true] {
            Simulation::sweep(0..20, move || async move {
                let heard = ended(end, false, with_body).await?;
                assert!(heard.starts_with("HTTP/1.1 500 "), "{end:?}: {heard}");
                assert!(heard.contains("connection: close\r\n"), "{end:?}: {heard}");
                assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{end:?}: {heard}");
                Ok::<(), Reason>(())
            });
        }
    }
}

#[test]
fn h02_behind_the_head_the_response_is_cut_off() {
    for end in ENDS {
        Simulation::sweep(0..20, move || async move {
            let heard = ended(end, true, false).await?;
            assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("part"), "{end:?}: {heard}");
            assert!(
                !heard.contains("\r\n0\r\n") && heard.matches("HTTP/1.1 ").count() == 1,
                "{end:?}: {heard}"
            );
            Ok::<(), Reason>(())
        });
    }
}
