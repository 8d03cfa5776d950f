//! The queue of a listener that stops, on sockets of the system: DR3.

mod common;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use common::{Folder, run};
use riot_actor::{Pid, Reason, receive, send, spawn, this};
use riot_socket::{
    Address, Bind, Connection, DrainReport, OpenSocket, Options, Server, ServerHandle, TcpListener, UnixBind,
};

const SECOND: Duration = Duration::from_secs(1);
const CLIENTS: usize = 200;

/// Answers one byte with another.
async fn answer(mut connection: Connection) -> io::Result<()> {
    let mut byte = [0];
    connection.read_exact(&mut byte).await?;
    connection.write_all(b"!").await
}

async fn connect(address: &Address) -> io::Result<Connection> {
    match address {
        Address::Ip(address) => Connection::connect(&address.to_string()).await,
        Address::Unix(address) => Connection::connect_unix(address.clone()).await,
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Asks, and tells `watcher` whether it got its answer.
async fn ask(watcher: Pid, connected: io::Result<Connection>) {
    let asked = async {
        let mut client = connected?;
        client.write_all(b"?").await?;
        client.read_to_end(1).await
    };
    let answered = asked.await.is_ok_and(|heard| heard == b"!");
    send(watcher, answered);
}

/// Returns how many of these clients were answered.
async fn answered(clients: usize) -> usize {
    let mut answered = 0;
    for _ in 0..clients {
        answered += usize::from(receive::<bool>().await);
    }
    answered
}

fn stop(server: &ServerHandle) {
    let (server, watcher) = (server.clone(), this());
    spawn(async move { send(watcher, server.stop(10 * SECOND).await) });
}

/// Fills the queue of a server that has one place, which is taken, and stops the server.
async fn stop_with_a_full_queue(
    bind: impl Bind,
) -> Result<(Address, DrainReport, usize, ServerHandle), Reason> {
    // On a busy machine the clients, served one after the other, take longer than the default of a second.
    let server =
        Server::listen(bind).max_connections(1).drain_first_timeout(10 * SECOND).start_link(answer).await?;
    let address = server.address().expect("it listens");
    let mut holder = connect(&address).await?;
    server.wait_for_connections(|connections| connections == 1).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&address).await);
    }
    stop(&server);
    for client in clients {
        spawn(ask(this(), client));
    }
    holder.write_all(b"?").await?;
    assert_eq!(holder.read_to_end(1).await?, b"!");
    let answered = answered(CLIENTS).await;
    Ok((address, receive().await, answered, server))
}

#[test]
fn dr03_every_client_in_the_queue_of_a_tcp_socket_is_answered() {
    run(async {
        let bind = tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Options::new());
        let (address, report, answered, server) = stop_with_a_full_queue(bind).await?;
        assert_eq!((answered, report.cut.len(), server.info().refused), (CLIENTS, 0, 0));
        assert!(connect(&address).await.is_err(), "the socket is closed");
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_every_client_in_the_queue_of_a_unix_socket_is_answered() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let bind = UnixBind::new(&path);
        let (address, report, answered, server) = stop_with_a_full_queue(bind).await?;
        assert_eq!((answered, report.cut.len(), server.info().refused), (CLIENTS, 0, 0));
        assert!(!path.exists() && connect(&address).await.is_err());
        Ok::<(), Reason>(())
    });
}

#[test]
fn dr03_the_queue_of_a_shared_socket_is_left_to_the_successor() {
    run(async {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        let successor = OpenSocket::from(socket.try_clone()?);
        let server = Server::listen(OpenSocket::from(socket)).max_connections(1).start_link(answer).await?;
        let address = server.address().expect("it listens");
        let mut holder = connect(&address).await?;
        server.wait_for_connections(|connections| connections == 1).await;
        for _ in 0..50 {
            spawn(ask(this(), connect(&address).await));
        }
        stop(&server);
        holder.write_all(b"?").await?;
        let report = receive::<DrainReport>().await;
        assert_eq!((report.cut.len(), server.info().refused), (0, 0));
        let successor = Server::listen(successor).start_link(answer).await?;
        assert_eq!(answered(50).await, 50);
        // The place of the first client may become free a moment before the old server stops accepting.
        assert_eq!(server.info().accepted + successor.info().accepted, 51);
        successor.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

/// Clients connect all the time while one of two servers of a port stops.
#[test]
fn dr03_no_client_that_connects_meanwhile_is_reset() {
    run(async {
        let options = Options::new().reuse_port();
        let first = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options)?;
        let address = first.local_addr()?;
        drop(first);
        let old = Server::listen(tcp(address, options.clone())).start_link(answer).await?;
        let new = Server::listen(tcp(address, options)).start_link(answer).await?;
        let watcher = this();
        for _ in 0..8 {
            spawn(async move {
                for _ in 0..100 {
                    ask(watcher, Connection::connect(&address.to_string()).await).await;
                }
            });
        }
        let mut served = answered(100).await;
        stop(&old);
        served += answered(700).await;
        let report = receive::<DrainReport>().await;
        assert_eq!((served, report.cut.len()), (800, 0));
        assert!(old.info().accepted > 0 && new.info().accepted > 0);
        new.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

/// Returns an address to bind.
fn tcp(address: SocketAddr, options: Options) -> impl Bind {
    struct TcpAddress(SocketAddr, Options);
    impl Bind for TcpAddress {
        fn bind(&self) -> io::Result<std::sync::Arc<dyn riot_socket::Listen>> {
            Ok(std::sync::Arc::new(TcpListener::bind(self.0, &self.1)?))
        }
    }
    TcpAddress(address, options)
}
