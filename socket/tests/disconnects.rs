//! A client that leaves, however it does, is no crash: one line at the level debug, and a count. B8, B6.
#![cfg(target_os = "linux")]

mod common;
#[path = "../../actor/tests/common/kept_log.rs"]
mod kept_log;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError},
    time::Duration,
};

use common::{Folder, run};
use kept_log::{KeptEvent, KeptLog};
use riot_actor::{Reason, process::wait, runtime::blocking, spawn_link};
use riot_socket::{Connection, Server, ServerHandle};
use socket2::SockRef;
use tracing::Level;

/// The log of the program.
static LOG: LazyLock<KeptLog> = LazyLock::new(KeptLog::default);

/// The lock of every test here, since the lines are those of the whole program.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Begins to log, alone.
fn logged() -> MutexGuard<'static, ()> {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| tracing::subscriber::set_global_default(LOG.clone()).expect("there is no other"));
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    LOG.clear();
    alone
}

/// Returns the lines that concern connections: those of acceptors that are killed at the end are left out.
fn of_connections(level: Level) -> Vec<String> {
    let of_level = |event: KeptEvent| {
        let line = format!("{} {}", event.message, event.fields).trim_end().to_owned();
        let concerns = event.target.starts_with("riot::")
            && !line.contains("Acceptor.Worker")
            && !line.contains("Poller");
        (event.level == level && concerns).then_some(line)
    };
    LOG.events().into_iter().filter_map(of_level).collect()
}

async fn all_ended(server: &ServerHandle, connections: u64) {
    while server.info().ended.total() < connections {
        riot_actor::sleep(Duration::from_millis(1)).await;
    }
}

/// Reads units of eight bytes, and answers each with one that is much longer.
async fn units(mut connection: Connection) -> io::Result<()> {
    let mut unit = [0; 8];
    loop {
        connection.read_exact(&mut unit).await?;
        connection.write_all(&[b'x'; 1000]).await?;
    }
}

fn reset(client: TcpStream) {
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("the option can be set");
}

#[test]
fn b08_a_client_that_leaves_is_counted_and_logged_once_at_the_level_debug() {
    let _alone = logged();
    run(async {
        let server = Server::bind("127.0.0.1:0")?.start_link(units).await?;
        let address = server.local_addr();
        let leave = move || {
            let connect = || TcpStream::connect(address).expect("it listens");
            // A reset while the server reads.
            let mut client = connect();
            client.write_all(b"12345678").expect("it reads");
            client.read_exact(&mut [0; 1000]).expect("it answers");
            reset(client);
            // A reset in the middle of a unit.
            let mut client = connect();
            client.write_all(b"123").expect("it reads");
            reset(client);
            // The end of the stream in the middle of a unit, and before the first.
            let mut client = connect();
            client.write_all(b"123").expect("it reads");
            client.shutdown(Shutdown::Write).expect("it is connected");
            assert_eq!(client.read(&mut [0]).expect("it ends"), 0);
            drop(connect());
            // An end in the middle of an answer: the server writes to a peer that is gone.
            let mut client = connect();
            client.write_all(&[b'1'; 80_000]).expect("it reads");
            drop(client);
        };
        blocking(leave).await;
        all_ended(&server, 5).await;
        let ended = server.info().ended;
        assert_eq!((ended.disconnected, ended.crashed, ended.normal, ended.shutdown), (5, 0, 0, 0));
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!((of_connections(Level::ERROR), of_connections(Level::WARN)), (vec![], vec![]));
    let debug = of_connections(Level::DEBUG);
    let disconnects = debug.iter().filter(|line| line.contains(" disconnected: ")).count();
    assert_eq!((disconnects, debug.len()), (5, 5), "{debug:#?}");
}

#[test]
fn b08_a_process_that_owns_a_half_and_ends_with_the_disconnect_is_no_crash() {
    let _alone = logged();
    run(async {
        let server = Server::bind("127.0.0.1:0")?
            .start_link(|connection: Connection| async {
                let (mut reader, mut writer) = connection.into_split();
                let reading = spawn_link(async move {
                    let mut unit = [0; 8];
                    loop {
                        reader.read_exact(&mut unit).await?;
                    }
                    #[expect(unreachable_code, reason = "it gives the type of the error")]
                    Ok::<(), io::Error>(())
                });
                writer.write_all(&[b'x'; 1000]).await?;
                wait(reading).await;
                Ok::<(), io::Error>(())
            })
            .await?;
        let mut client = TcpStream::connect(server.local_addr())?;
        client.read_exact(&mut [0; 1000])?;
        client.write_all(b"12345678")?;
        reset(client);
        all_ended(&server, 1).await;
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    let loud: Vec<_> = [Level::ERROR, Level::WARN].into_iter().flat_map(of_connections).collect();
    assert_eq!(loud, [""; 0]);
    let crashed: Vec<_> = of_connections(Level::DEBUG);
    assert!(crashed.iter().any(|line| line.starts_with("process crashed: ")), "{crashed:#?}");
}

#[test]
fn b08_the_disconnect_of_another_socket_is_a_crash() {
    let _alone = logged();
    run(async {
        // A database that resets every connection.
        let database = std::net::TcpListener::bind("127.0.0.1:0")?;
        let at = database.local_addr()?;
        std::thread::spawn(move || {
            while let Ok((mut client, _)) = database.accept() {
                let _ = client.read_exact(&mut [0]);
                reset(client);
            }
        });
        let server = Server::bind("127.0.0.1:0")?
            .start_link(move |mut connection: Connection| async move {
                connection.read_exact(&mut [0; 1]).await?;
                let mut query = Connection::connect(&at.to_string()).await?;
                query.write_all(b"?").await?;
                query.read_exact(&mut [0; 1]).await?;
                Ok::<(), io::Error>(())
            })
            .await?;
        let listens_at = server.local_addr();
        let mut client = TcpStream::connect(listens_at)?;
        client.write_all(b"x")?;
        all_ended(&server, 1).await;
        let ended = server.info().ended;
        assert_eq!((ended.crashed, ended.disconnected), (1, 0));
        let errors = of_connections(Level::ERROR);
        let [error] = &errors[..] else { panic!("one line: {errors:?}") };
        for part in [
            "process crashed: error: ",
            &format!("peer={}", client.local_addr()?),
            &format!("server={listens_at}"),
            "age=0.",
        ] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b08_a_client_of_a_unix_socket_that_leaves_is_no_crash() {
    let _alone = logged();
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = Server::bind_unix(&path).start_link(units).await?;
        for bytes in [0, 3, 80_000] {
            let path = path.clone();
            let leave = move || {
                let mut client = std::os::unix::net::UnixStream::connect(path).expect("it listens");
                client.write_all(&vec![b'1'; bytes]).expect("it reads");
            };
            blocking(leave).await;
        }
        all_ended(&server, 3).await;
        assert_eq!(server.info().ended.disconnected, 3, "{:?}", server.info().ended);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!((of_connections(Level::ERROR), of_connections(Level::WARN)), (vec![], vec![]));
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use riot_socket::{
        Address, memory,
        tls::{Certificate, ClientCertificates, Roots, Tls, TlsClient},
    };

    use super::*;

    fn pair() -> (Certificate, Roots) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("the PEM is valid");
        (certificate, Roots::from_pem(chain.as_bytes()).expect("the PEM is valid"))
    }

    #[test]
    fn b08_a_session_without_its_end_is_no_crash() {
        let _alone = logged();
        run(async {
            let (certificate, roots) = pair();
            let listener = memory::Listener::new();
            let server = Server::listen(listener.clone()).tls(Tls::new(certificate));
            let server = server
                .start_link(|mut connection: Connection| async move {
                    connection.read_to_end(100).await.map(drop)
                })
                .await?;
            let (stream, address): (Arc<memory::Stream>, Address) = listener.connect_stream()?;
            let raw: Arc<dyn riot_socket::Transport> = stream.clone();
            let connection = Connection::new(stream, address);
            let mut client = TlsClient::new(roots).connect(connection, "localhost").await?;
            client.write_all(b"hello").await?;
            raw.shutdown(Shutdown::Write)?;
            all_ended(&server, 1).await;
            assert_eq!(server.info().ended.disconnected, 1, "{:?}", server.info().ended);
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
        assert_eq!((of_connections(Level::ERROR), of_connections(Level::WARN)), (vec![], vec![]));
    }

    /// Returns the lines of a server that refuses a client.
    fn refused(change: fn(Tls, Roots) -> io::Result<Tls>, client: fn(TlsClient) -> TlsClient) -> Vec<String> {
        let _alone = logged();
        run(async move {
            let (certificate, roots) = pair();
            let tls = change(Tls::new(certificate), roots.clone())?;
            let server = Server::bind("127.0.0.1:0")?.tls(tls).start_link(units).await?;
            let connection = Connection::connect(&server.local_addr().to_string()).await?;
            let client = client(TlsClient::new(roots)).connect(connection, "localhost").await;
            all_ended(&server, 1).await;
            drop(client);
            assert_eq!((server.info().handshake_errors, server.info().ended.crashed), (1, 0));
            server.stop(Duration::ZERO).await;
            Ok::<(), Reason>(())
        });
        assert_eq!((of_connections(Level::ERROR), of_connections(Level::WARN)), (vec![], vec![]));
        of_connections(Level::DEBUG)
    }

    #[track_caller]
    fn one_line(lines: &[String], alert: &str) {
        let [line] = lines else { panic!("one line: {lines:#?}") };
        assert!(line.starts_with("the handshake with 127.0.0.1:"), "{line}");
        assert!(line.ends_with(&format!("(the peer was told {alert})")), "{line}");
    }

    #[test]
    fn b06_a_refused_client_is_one_line_with_its_address_and_the_alert() {
        one_line(
            &refused(|tls, _| Ok(tls.alpn(["a"])), |client| client.alpn(["b"])),
            "NoApplicationProtocol",
        );
        one_line(
            &refused(
                |tls, roots| tls.client_certificates(ClientCertificates::Required(roots)),
                |client| client,
            ),
            "CertificateRequired",
        );
        one_line(
            &refused(
                |tls, roots| tls.client_certificates(ClientCertificates::Required(roots)),
                |client| client.certificate(pair().0),
            ),
            "DecryptError",
        );
    }
}
