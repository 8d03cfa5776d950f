//! A switch of protocols through the driver (F12): the handler gets the connection itself, open in both
//! directions, and with it every byte that came behind the request.
#![cfg(feature = "driver")]

use std::{io, sync::Arc, time::Duration};

use riot_actor::{Reason, process::Outcome, runtime::Config, simulation::Simulation, sleep};
use riot_http::{
    Reqd, Response, Server, ServerHandle, UpgradeError,
    http::{HeaderValue, StatusCode, header},
};
use riot_socket::{Address, Connection, Shutdown, TcpStream, memory::Listener};

const SWITCH: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: lines\r\n\r\n";

/// Switches to a protocol that says every byte back in capitals, and `bye` when its peer has ended.
async fn shout(reqd: Reqd) -> Result<(), UpgradeError> {
    let response = Response::new(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, HeaderValue::from_static("lines"));
    let upgrade = match reqd.respond_with_upgrade(response) {
        Ok(upgrade) => upgrade,
        Err((reqd, _)) => {
            let _ = reqd.respond_with_string(Response::ok(), "plain");
            return Ok(());
        }
    };
    let mut connection = upgrade.connection().await?;
    let _: io::Result<()> = async {
        let mut buffer = [0; 512];
        loop {
            match connection.read(&mut buffer).await? {
                0 => return connection.write_all(b"bye").await,
                read => connection.write_all(&buffer[..read].to_ascii_uppercase()).await?,
            }
        }
    }
    .await;
    Ok(())
}

async fn read_until(client: &mut Connection, end: &str) -> io::Result<String> {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let mut byte = [0];
        client.read_exact(&mut byte).await?;
        heard.extend(byte);
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// A request, a switch with bytes of the new protocol right behind it, and a talk in the new protocol.
async fn converse(mut client: Connection) -> io::Result<()> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let plain = read_until(&mut client, "plain").await?;
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
    client.write_all(format!("{SWITCH}early ").as_bytes()).await?;
    let switched = read_until(&mut client, "\r\n\r\n").await?;
    assert!(switched.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{switched}");
    assert!(switched.contains("connection: upgrade\r\n") && switched.contains("upgrade: lines\r\n"));
    assert_eq!(read_until(&mut client, "EARLY ").await?, "EARLY ");
    client.write_all(b"and late").await?;
    assert_eq!(read_until(&mut client, "LATE").await?, "AND LATE");
    client.shutdown(Shutdown::Write)?;
    assert_eq!(read_until(&mut client, "bye").await?, "bye");
    assert_eq!(client.read(&mut [0; 8]).await?, 0, "then it closes");
    Ok(())
}

async fn until_idle(server: &ServerHandle) {
    until(|| server.info().active == 0).await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        sleep(Duration::from_millis(1)).await;
    }
}

fn simulate<F>(program: impl Fn(Listener) -> F)
where
    F: Future<Output: Outcome> + Send + 'static,
{
    Simulation::sweep(0..100, || program(Listener::new()));
}

#[test]
fn f12_the_handler_gets_the_connection_and_what_came_behind_the_request() {
    simulate(|listener| async move {
        let server = Server::listen(listener.clone()).handler(shout).start_link().await?;
        converse(listener.connect()?).await?;
        until_idle(&server).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn f12_nor_is_anything_lost_where_reads_and_writes_are_cut() {
    simulate(|listener| async move {
        listener.max_transfer(3);
        let server = Server::listen(listener.clone()).handler(shout).start_link().await?;
        converse(listener.connect()?).await?;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn f12_on_real_sockets() {
    let reason = Config::new().workers(2).run(async {
        let server = Server::bind("127.0.0.1:0")?.handler(shout).start_link().await?;
        let address = server.local_addr();
        for _ in 0..20 {
            let stream = TcpStream::connect(address).await?;
            converse(Connection::new(Arc::new(stream), Address::Ip(address))).await?;
        }
        until_idle(&server).await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}

#[test]
fn asked_to_finish_an_upgraded_connection_hears_the_end_of_its_input() {
    simulate(|listener| async move {
        let server = Server::listen(listener.clone()).handler(shout).start_link().await?;
        let mut client = listener.connect()?;
        client.write_all(SWITCH.as_bytes()).await?;
        read_until(&mut client, "\r\n\r\n").await?;
        client.write_all(b"x").await?;
        assert_eq!(read_until(&mut client, "X").await?, "X");
        assert!(server.stop(Duration::from_secs(5)).await.cut.is_empty(), "nothing had to be cut");
        assert_eq!(read_until(&mut client, "bye").await?, "bye");
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_connection_lost_before_the_switch_is_an_error() {
    simulate(|listener| async move {
        let server = Server::listen(listener.clone())
            .keep_handlers()
            .handler(|reqd: Reqd| async move {
                sleep(Duration::from_secs(1)).await;
                let response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
                if let Ok(upgrade) = reqd.respond_with_upgrade(response) {
                    assert_eq!(upgrade.connection().await.unwrap_err(), UpgradeError::Closed);
                }
            })
            .start_link()
            .await?;
        let (client, address) = listener.connect_stream()?;
        Connection::new(client.clone(), address).write_all(SWITCH.as_bytes()).await?;
        sleep(Duration::from_millis(1)).await;
        client.reset();
        until_idle(&server).await;
        assert_eq!(server.info().ended.crashed, 0);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_crash_after_the_switch_closes_that_connection_alone() {
    simulate(|listener| async move {
        let server = Server::listen(listener.clone())
            .handler(|reqd: Reqd| async move {
                let upgrade = reqd.respond_with_upgrade(Response::new(StatusCode::SWITCHING_PROTOCOLS));
                let connection = upgrade.expect("it was asked for").connection().await;
                assert!(connection.is_err(), "it fails in the new protocol");
            })
            .start_link()
            .await?;
        for _ in 0..2 {
            let mut client = listener.connect()?;
            client.write_all(SWITCH.as_bytes()).await?;
            read_until(&mut client, "\r\n\r\n").await?;
            assert_eq!(client.read(&mut [0; 8]).await?, 0);
        }
        until(|| server.info().ended.crashed == 2).await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}
