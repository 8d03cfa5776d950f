//! Hooks of a connection that panic: B27.

mod common;

use std::{
    io::{self, IoSlice},
    panic::panic_any,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use common::{SEEDS, connect, says_it_back, settle};
use riot_actor::{Reason, process::tree, receive, send, simulation::Simulation, sleep, spawn, this};
use riot_socket::{
    AcceptQueue, Address, Bind, Connection, ConnectionOverflow, Control, DrainReport, Listen, Server,
    ServerHandle, Shutdown, Status, Transport, memory::Listener,
};

const SECOND: Duration = Duration::from_secs(1);

/// The method of a [`Control`] that panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Announce,
    Drain,
    Cut,
    Asked,
    Status,
    Idle,
    Drop,
}

const EVERY: [Panics; 7] =
    [Panics::Announce, Panics::Drain, Panics::Cut, Panics::Asked, Panics::Status, Panics::Idle, Panics::Drop];

struct Bomb(Panics);

impl Bomb {
    fn at(&self, here: Panics) {
        if self.0 == here {
            panic!("{here:?}");
        }
    }
}

/// A payload that panics when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a payload");
        }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.at(Panics::Drop);
        }
    }
}

impl Control for Bomb {
    fn announce_drain(&self) {
        self.at(Panics::Announce);
    }
    fn drain(&self, _: Option<Instant>) {
        self.at(Panics::Drain);
    }
    fn cut(&self) {
        self.at(Panics::Cut);
    }
    fn drains_fresh_connections(&self) -> bool {
        self.at(Panics::Asked);
        true
    }
    fn status(&self) -> Status {
        self.at(Panics::Status);
        Status { state: "idle", requests: 1 }
    }
    fn idle_since(&self) -> Option<Instant> {
        self.at(Panics::Idle);
        None
    }
}

/// Stops the server in a process of its own, which sends the report to the caller.
fn stop(server: &ServerHandle, timeout: Duration) {
    let (server, caller) = (server.clone(), this());
    spawn(async move { send(caller, server.stop(timeout).await) });
}

/// Serves an orderly client, which has a request under way, beside those with a bad hook.
async fn orderly(connection: &mut Connection) -> std::io::Result<()> {
    let mut order = [0; 2];
    connection.read_exact(&mut order).await?;
    sleep(2 * SECOND).await;
    connection.write_all(&order).await
}

#[test]
fn b27_a_drain_hook_that_panics_harms_no_other_connection() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .start_link(|mut connection: Connection| async move {
                let mut order = [0];
                connection.read_exact(&mut order).await?;
                if order[0] == b'b' {
                    connection.on_drain(|| panic_any(Payload));
                    connection.write_all(b"b").await?;
                    // Its input ends all the same.
                    assert_eq!(connection.read(&mut order).await?, 0);
                    return connection.write_all(b"e").await;
                }
                connection.put_back(&order);
                orderly(&mut connection).await
            })
            .await?;
        let supervisors = tree().labelled("Connections.Sup");
        let mut bad = connect(&listener, 20);
        for client in &mut bad {
            says_it_back(client, b"b").await;
        }
        let mut good = connect(&listener, 20);
        for client in &mut good {
            client.write_all(b"ok").await?;
        }
        settle().await;
        stop(&server, 10 * SECOND);
        sleep(SECOND).await;
        assert_eq!(tree().labelled("Connections.Sup"), supervisors);
        for client in &mut good {
            assert_eq!(client.read_to_end(10).await?, b"ok");
        }
        for client in &mut bad {
            assert_eq!(client.read_to_end(10).await?, b"e");
        }
        let report: DrainReport = receive().await;
        assert_eq!(report.cut.len(), 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b27_a_control_that_panics_harms_no_other_connection() {
    for panics in EVERY {
        Simulation::sweep(0..10, move || async move {
            let listener = Listener::new();
            let server = Server::listen(listener.clone())
                .max_connections(6)
                .overflow(ConnectionOverflow::ReapOldestIdle)
                .lame_duck_timeout(SECOND)
                .start_link(move |mut connection: Connection| async move {
                    let mut order = [0];
                    connection.read_exact(&mut order).await?;
                    if order[0] == b'b' {
                        let bomb: Arc<dyn Control> = Arc::new(Bomb(panics));
                        let weak: Weak<dyn Control> = Arc::downgrade(&bomb);
                        connection.controlled_by(weak);
                        connection.write_all(b"b").await?;
                        std::future::pending::<()>().await;
                        drop(bomb);
                    }
                    connection.put_back(&order);
                    orderly(&mut connection).await
                })
                .await?;
            let mut bad = connect(&listener, 3);
            for client in &mut bad {
                says_it_back(client, b"b").await;
            }
            let mut good = connect(&listener, 3);
            for client in &mut good {
                client.write_all(b"ok").await?;
            }
            sleep(SECOND).await;
            let processes = [tree().labelled("Connections.Sup"), tree().labelled("Acceptor.Worker")];
            // One more than there is room for: who is idle?
            let mut late = listener.connect()?;
            late.write_all(b"ok").await?;
            settle().await;
            assert_eq!(server.connections().len(), 6, "{panics:?}");
            assert!(server.info().drain.is_none());
            stop(&server, 5 * SECOND);
            sleep(SECOND / 2).await;
            assert_eq!(
                [tree().labelled("Connections.Sup"), tree().labelled("Acceptor.Worker")],
                processes,
                "{panics:?}"
            );
            for client in &mut good {
                assert_eq!(client.read_to_end(10).await?, b"ok", "{panics:?}");
            }
            assert_eq!(late.read_to_end(10).await?, b"ok", "{panics:?}");
            let _ = server.info();
            let report: DrainReport = receive().await;
            assert_eq!(report.cut.len(), 3, "{panics:?}");
            Ok::<(), Reason>(())
        });
    }
}

/// A transport of a user's that panics when the server ends it.
struct BadTransport(Arc<dyn Transport>);

impl Transport for BadTransport {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }
    fn reset_on_close(&self) {
        panic!("a reset");
    }
    fn local_address(&self) -> io::Result<Address> {
        self.0.local_address()
    }
    fn shutdown(&self, side: Shutdown) -> io::Result<()> {
        panic!("a shutdown: {side:?}");
    }
}

/// Every other client gets such a transport.
struct BadListener(Listener);

impl Bind for BadListener {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        Ok(Arc::new(BadListen(self.0.bind()?, AtomicBool::new(false))))
    }
}

struct BadListen(Arc<dyn Listen>, AtomicBool);

impl Listen for BadListen {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        self.0.poll_accept(cx).map_ok(|(transport, peer)| match self.1.fetch_xor(true, Relaxed) {
            false => (Arc::new(BadTransport(transport)) as Arc<dyn Transport>, peer),
            true => (transport, peer),
        })
    }
    fn local_address(&self) -> io::Result<Address> {
        self.0.local_address()
    }
    fn close_queue(&self) -> AcceptQueue {
        self.0.close_queue()
    }
}

#[test]
fn b27_a_transport_that_panics_harms_no_other_connection() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(BadListener(listener.clone()))
            .start_link(|mut connection: Connection| async move { orderly(&mut connection).await })
            .await?;
        let supervisors = tree().labelled("Connections.Sup");
        let mut clients = connect(&listener, 20);
        settle().await;
        for client in clients.iter_mut().skip(1).step_by(2) {
            client.write_all(b"ok").await?;
        }
        settle().await;
        stop(&server, 5 * SECOND);
        sleep(SECOND).await;
        assert_eq!(tree().labelled("Connections.Sup"), supervisors);
        for client in clients.iter_mut().skip(1).step_by(2) {
            assert_eq!(client.read_to_end(10).await?, b"ok");
        }
        let report: DrainReport = receive().await;
        assert_eq!(report.cut.len(), 10);
        Ok::<(), Reason>(())
    });
}

/// A listener of a user's that goes wrong once its queue is to be closed.
#[derive(Clone, Copy, Debug)]
enum AtTheEnd {
    Panics,
    NeverRunsEmpty,
}

struct WrongAtTheEnd(Listener, AtTheEnd);

impl Bind for WrongAtTheEnd {
    fn bind(&self) -> io::Result<Arc<dyn Listen>> {
        Ok(Arc::new(WrongListen { listen: self.0.bind()?, wrong: self.1, closes: AtomicBool::new(false) }))
    }
}

struct WrongListen {
    listen: Arc<dyn Listen>,
    wrong: AtTheEnd,
    closes: AtomicBool,
}

impl Listen for WrongListen {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Arc<dyn Transport>, Address)>> {
        match self.wrong {
            _ if !self.closes.load(Relaxed) => self.listen.poll_accept(cx),
            AtTheEnd::Panics => panic!("an accept"),
            AtTheEnd::NeverRunsEmpty => {
                let (here, _there) = riot_socket::memory::pair();
                Poll::Ready(Ok((here, Address::Memory(0))))
            }
        }
    }
    fn local_address(&self) -> io::Result<Address> {
        self.listen.local_address()
    }
    fn close_queue(&self) -> AcceptQueue {
        self.closes.store(true, Relaxed);
        AcceptQueue::Open
    }
}

#[test]
fn dr03_a_listener_that_goes_wrong_at_the_end_does_not_hold_the_drain_up() {
    for wrong in [AtTheEnd::Panics, AtTheEnd::NeverRunsEmpty] {
        Simulation::sweep(0..5, move || async move {
            let listener = Listener::new();
            let server = Server::listen(WrongAtTheEnd(listener.clone(), wrong))
                .start_link(|mut connection: Connection| async move { orderly(&mut connection).await })
                .await?;
            let mut good = connect(&listener, 1).remove(0);
            good.write_all(b"ok").await?;
            settle().await;
            let drainer = riot_actor::monitor(tree().labelled("Drain.Worker")[0]);
            let began = riot_actor::now();
            stop(&server, Duration::from_millis(1));
            let _: DrainReport = receive().await;
            let end = drainer.down().await.reason;
            assert!(end.is_clean() || end == Reason::NoProc, "{wrong:?}: {end}");
            let took = riot_actor::now() - began;
            assert!(took < SECOND, "{wrong:?}: {took:?}");
            Ok::<(), Reason>(())
        });
    }
}
