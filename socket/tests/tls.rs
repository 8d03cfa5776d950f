//! TLS: the scenarios of Ranch's ssl suite by name, over memory in simulation and over real sockets.
//!
//! Not here: `dtls_echo` (no datagrams), `tls_psk` and `tls_psk_fail` (rustls has no pre-shared keys),
//! `unsupported_tlsv13_options` (there is no list of options that a version could leave unsupported).
#![cfg(feature = "tls")]

mod common;

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use common::{Folder, echo, run, says_it_back, settle};
use riot_actor::{Reason, receive, send, simulation::Simulation, sleep, spawn, this};
use riot_socket::{
    Connection, Handshake, Server, ServerHandle, Shutdown, TcpStream,
    memory::{self, Faults, Listener},
    proxy::{ProxyHeader, ProxyProtocol},
    tls::{Certificate, CertificateError, Certificates, ClientCertificates, Roots, Tls, TlsClient, TlsInfo},
};

const SEEDS: std::ops::Range<u64> = 0..10;

/// A self-signed certificate: chain and key, in PEM.
struct Pair {
    chain: String,
    key: String,
}

impl Pair {
    fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.chain.as_bytes(), self.key.as_bytes()).expect("the PEM is valid")
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.chain.as_bytes()).expect("the PEM is valid")
    }

    /// Returns a client that trusts only this certificate.
    fn client(&self) -> TlsClient {
        TlsClient::new(self.roots())
    }
}

fn made(host: &'static str) -> &'static Pair {
    static MADE: OnceLock<Mutex<Vec<(&str, &Pair)>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().expect("no panic while locked");
    if let Some((_, pair)) = made.iter().find(|(name, _)| *name == host) {
        return pair;
    }
    let new = rcgen::generate_simple_self_signed([host.to_owned()]).expect("the certificate is generated");
    let pair = Box::leak(Box::new(Pair { chain: new.cert.pem(), key: new.signing_key.serialize_pem() }));
    made.push((host, pair));
    pair
}

fn localhost() -> &'static Pair {
    made("localhost")
}

/// Returns a protocol that sends the result of the handshake to the test, then echoes all bytes.
fn telling_echo(watcher: riot_actor::Pid) -> impl Fn(Connection) -> Telling + Send + Sync + 'static {
    move |connection: Connection| {
        send(watcher, connection.get::<TlsInfo>().expect("the handshake inserted it").clone());
        Box::pin(echo(connection))
    }
}

type Telling = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

async fn started(listener: &Listener, tls: Tls) -> ServerHandle {
    let server = Server::listen(listener.clone()).tls(tls).start_link(telling_echo(this()));
    server.await.expect("the server starts")
}

#[test]
fn ssl_echo() {
    for cut in [1, 100, usize::MAX] {
        Simulation::sweep(0..3, move || async move {
            let listener = Listener::new();
            listener.max_transfer(cut);
            started(&listener, Tls::new(localhost().certificate())).await;
            let mut client = localhost().client().connect(listener.connect()?, "localhost").await?;
            says_it_back(&mut client, b"TCP Ranch is working!").await;
            says_it_back(&mut client, &[b'x'; 20_000]).await;
            let info = receive::<TlsInfo>().await;
            assert_eq!((info.server_name.as_deref(), info.alpn), (Some("localhost"), None));
            assert_eq!(info.version, "TLSv1_3");
            client.close().await?;
            assert_eq!(client.read(&mut [0]).await?, 0, "the end is announced, or this would be an error");
            Ok::<(), Reason>(())
        });
    }
}

#[test]
fn ssl_echo_over_tcp_and_over_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let tls = || Tls::new(localhost().certificate());
        let tcp = Server::bind("127.0.0.1:0")?.tls(tls()).start_link(echo).await?;
        let unix = Server::bind_unix(&path).tls(tls()).start_link(echo).await?;
        let over_tcp: Connection = TcpStream::connect(tcp.local_addr()).await?.try_into()?;
        let over_unix = Connection::connect_unix(&path).await?;
        for connection in [over_tcp, over_unix] {
            let mut client = localhost().client().connect(connection, "localhost").await?;
            says_it_back(&mut client, b"SSL Ranch is working!").await;
            client.close().await?;
            assert_eq!(client.read_to_end(10).await?, b"");
        }
        tcp.stop(Duration::from_secs(5)).await;
        unix.stop(Duration::from_secs(5)).await;
        Ok(())
    });
}

/// Sends more than all buffers on the way hold, in both directions at once, in two processes.
#[test]
fn a_flood_in_both_directions() {
    run(async {
        let server =
            Server::bind("127.0.0.1:0")?.tls(Tls::new(localhost().certificate())).start_link(echo).await?;
        let connection = TcpStream::connect(server.local_addr()).await?.try_into()?;
        let client = localhost().client().connect(connection, "localhost").await?;
        let (mut reader, mut writer) = client.into_split();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        spawn(async move {
            writer.write_all(&sent).await.expect("the write succeeds");
            writer.close().await.expect("the write succeeds");
        });
        let received = reader.read_to_end(usize::MAX).await?;
        assert!(received == expected);
        server.stop(Duration::from_secs(5)).await;
        Ok(())
    });
}

#[test]
fn handshake_sni_echo_the_host_chooses_the_certificate() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let certificates = Certificates::new();
        certificates.set_default(localhost().certificate());
        certificates.set("ranch.example.org", made("ranch.example.org").certificate());
        certificates.set("*.example.org", made("any.example.org").certificate());
        started(&listener, Tls::new(certificates)).await;
        for (asked, shown) in [
            ("ranch.example.org", "ranch.example.org"),
            ("RANCH.example.org", "ranch.example.org"),
            ("any.example.org", "any.example.org"),
            ("localhost", "localhost"),
        ] {
            let mut client = made(shown).client().connect(listener.connect()?, asked).await?;
            says_it_back(&mut client, b"hello").await;
            let asked = asked.to_ascii_lowercase();
            assert_eq!(receive::<TlsInfo>().await.server_name, Some(asked));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn sni_fail_a_host_there_is_no_certificate_for_is_refused() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let certificates = Certificates::new();
        certificates.set("ranch.example.org", made("ranch.example.org").certificate());
        let server = started(&listener, Tls::new(certificates)).await;
        let refused = localhost().client().connect(listener.connect()?, "localhost").await;
        assert_eq!(refused.expect_err("there is none").kind(), io::ErrorKind::InvalidData);
        settle().await;
        assert_eq!((server.info().handshake_errors, server.info().ended.crashed), (1, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_accept_error_clients_that_leave_in_the_middle_harm_nothing() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .tls(Tls::new(localhost().certificate()))
            .start_link(echo)
            .await?;
        // The handshake ends early after any number of bytes.
        for bytes in [0, 1, 10, 200] {
            let (stream, address) = listener.connect_stream()?;
            let client = Connection::new(stream.clone(), address);
            let mut hello = client_hello();
            hello.truncate(bytes);
            let mut client = client;
            client.write_all(&hello).await?;
            if bytes % 2 == 0 {
                stream.reset();
            }
        }
        let mut client = localhost().client().connect(listener.connect()?, "localhost").await?;
        says_it_back(&mut client, b"unharmed").await;
        settle().await;
        let info = server.info();
        assert_eq!((info.handshake_errors, info.ended.crashed, info.active), (4, 0, 1));
        Ok::<(), Reason>(())
    });
}

/// Returns the first bytes of a TLS client.
fn client_hello() -> Vec<u8> {
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).expect("the session begins");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("there is room");
    hello
}

#[test]
fn b06_handshake_error_garbage_is_closed_and_silent() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = started(&listener, Tls::new(localhost().certificate())).await;
        let mut client = listener.connect()?;
        client.write_all(b"GARBAGE, no TLS at all").await?;
        let answer = client.read_to_end(100).await?;
        assert_eq!(answer.first(), Some(&21), "an alert");
        settle().await;
        let info = server.info();
        assert_eq!((info.handshake_errors, info.ended.crashed, info.active), (1, 0, 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b06_a_client_that_says_nothing_is_closed_in_time() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = started(&listener, Tls::new(localhost().certificate())).await;
        let mut client = listener.connect()?;
        let start = riot_actor::now();
        assert_eq!(client.read(&mut [0]).await?, 0);
        assert!(riot_actor::now() - start >= Duration::from_secs(5));
        settle().await;
        assert_eq!((server.info().timeouts.get("handshake"), server.info().handshake_errors), (Some(&1), 0));
        Ok::<(), Reason>(())
    });
}

#[test]
fn upgrade_from_tcp() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let tls = Tls::new(localhost().certificate());
        Server::listen(listener.clone())
            .start_link(move |mut connection: Connection| {
                let tls = tls.clone();
                async move {
                    let mut word = [0; 9];
                    connection.read_exact(&mut word).await?;
                    assert_eq!(&word, b"STARTTLS\n");
                    connection.write_all(b"go on").await?;
                    echo(tls.handshake(connection).await?).await
                }
            })
            .await?;
        let mut client = listener.connect()?;
        client.write_all(b"STARTTLS\n").await?;
        let mut answer = [0; 5];
        client.read_exact(&mut answer).await?;
        let mut client = localhost().client().connect(client, "localhost").await?;
        says_it_back(&mut client, b"in private").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b16_a_proxy_header_comes_before_tls_and_no_byte_is_lost() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        Server::listen(listener.clone())
            .proxy_protocol(ProxyProtocol::required())
            .tls(Tls::new(localhost().certificate()))
            .start_link(move |connection: Connection| {
                send(watcher, connection.peer().to_string());
                echo(connection)
            })
            .await?;
        // Header and hello come in one piece: the header's end is found, and the rest belongs to the session.
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
        assert!(matches!(ProxyHeader::parse(header), Ok(Some(_))));
        let (one, other) = memory::pair();
        let here = Connection::new(one, riot_socket::Address::Memory(9));
        let joined = spawn_pump(other, listener.connect()?, header);
        let mut client = localhost().client().connect(here, "localhost").await?;
        says_it_back(&mut client, b"hello").await;
        assert_eq!(receive::<String>().await, "192.0.2.1:56324");
        assert!(riot_actor::process::is_alive(joined));
        Ok::<(), Reason>(())
    });
}

/// Starts a proxy that copies bytes both ways, and sends the header in one piece with the first of them.
fn spawn_pump(client: Arc<memory::Stream>, server: Connection, header: &'static [u8]) -> riot_actor::Pid {
    spawn(async move {
        let client = Connection::new(client, riot_socket::Address::Memory(8));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                to_client.write_all(&buffer[..read]).await.expect("the client reads");
            }
        });
        let (mut buffer, mut first) = (vec![0; 64 * 1024], header);
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let bytes = [std::mem::take(&mut first), &buffer[..read]].concat();
            to_server.write_all(&bytes).await.expect("the server reads");
        }
    })
}

#[test]
fn alpn_agrees_on_the_protocol_that_the_server_prefers() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        started(&listener, Tls::new(localhost().certificate()).alpn(["b", "a"])).await;
        let client = |protocols: Vec<&'static str>| localhost().client().alpn(protocols);
        let _both = client(vec!["a", "b"]).connect(listener.connect()?, "localhost").await?;
        assert_eq!(receive::<TlsInfo>().await.alpn.as_deref(), Some(&b"b"[..]));
        let _silent = client(vec![]).connect(listener.connect()?, "localhost").await?;
        assert_eq!(receive::<TlsInfo>().await.alpn, None);
        let stranger = client(vec!["c"]).connect(listener.connect()?, "localhost").await;
        assert_eq!(stranger.expect_err("nothing in common").kind(), io::ErrorKind::InvalidData);
        Ok::<(), Reason>(())
    });
}

#[test]
fn client_certificates_required_or_optional() {
    Simulation::sweep(SEEDS, || async {
        let known = made("client.example.org");
        let stranger = made("stranger.example.org");
        for required in [true, false] {
            let listener = Listener::new();
            let clients = if required {
                ClientCertificates::Required(known.roots())
            } else {
                ClientCertificates::Optional(known.roots())
            };
            let tls = Tls::new(localhost().certificate()).client_certificates(clients)?;
            let server = started(&listener, tls).await;
            let connect = |tls: TlsClient| {
                let connection = listener.connect().expect("the listener is bound");
                async move {
                    let mut client = tls.connect(connection, "localhost").await?;
                    // The refusal arrives after the client's side of the handshake is complete.
                    client.write_all(b"x").await?;
                    client.read_exact(&mut [0]).await
                }
            };
            connect(localhost().client().certificate(known.certificate())).await?;
            assert_eq!(receive::<TlsInfo>().await.peer_certificates.len(), 1);
            assert!(connect(localhost().client().certificate(stranger.certificate())).await.is_err());
            let nameless = connect(localhost().client()).await;
            assert_eq!(nameless.is_ok(), !required, "{nameless:?}");
            settle().await;
            assert_eq!(server.info().handshake_errors, if required { 2 } else { 1 });
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn certificates_change_while_the_server_runs() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let certificates = Certificates::from(localhost().certificate());
        started(&listener, Tls::new(certificates.clone())).await;
        let mut before = localhost().client().connect(listener.connect()?, "localhost").await?;
        // A certificate for the same host, with another pair of keys.
        let renewed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let renewed = Pair { chain: renewed.cert.pem(), key: renewed.signing_key.serialize_pem() };
        certificates.set_default(renewed.certificate());
        let mut after = renewed.client().connect(listener.connect()?, "localhost").await?;
        says_it_back(&mut after, b"the new one").await;
        says_it_back(&mut before, b"still there").await;
        assert!(localhost().client().connect(listener.connect()?, "localhost").await.is_err());
        certificates.set("other.example.org", made("other.example.org").certificate());
        made("other.example.org").client().connect(listener.connect()?, "other.example.org").await?;
        certificates.remove("other.example.org");
        let removed = made("other.example.org").client();
        assert!(removed.connect(listener.connect()?, "other.example.org").await.is_err());
        Ok::<(), Reason>(())
    });
}

#[test]
fn error_no_cert_names_the_fault_and_the_file() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| {
        let path = folder.path(name);
        std::fs::write(&path, text).expect("there is room");
        path
    };
    let (chain, key) = (write("chain.pem", &localhost().chain), write("key.pem", &localhost().key));
    let broken = write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let missing = folder.path("missing.pem");
    let says = |result: Result<Certificate, CertificateError>| {
        result.expect_err("the certificate is invalid").to_string()
    };
    assert!(Certificate::load(&chain, &key).is_ok());
    assert_eq!(says(Certificate::load(&key, &key)), format!("no certificate in {}", key.display()));
    assert_eq!(says(Certificate::load(&chain, &chain)), format!("no private key in {}", chain.display()));
    assert_eq!(says(Certificate::load(&missing, &key)), format!("cannot read {}", missing.display()));
    assert_eq!(says(Certificate::load(&broken, &key)), format!("{} is malformed", broken.display()));
    let cause = Certificate::load(&missing, &key).expect_err("there is no file");
    let cause = std::error::Error::source(&cause).expect("the cause is the source").to_string();
    let other = write("other.pem", &made("other.example.org").key);
    let text = format!("{} does not belong to the certificate in {}", other.display(), chain.display());
    assert_eq!(says(Certificate::load(&chain, &other)), text);
    assert_eq!(
        Roots::load(&key).expect_err("the certificate is invalid").to_string(),
        format!("no certificate in {}", key.display())
    );
    let error = io::Error::from(Certificate::load(&missing, &key).expect_err("the certificate is invalid"));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("cannot read {}: {cause}", missing.display()));
}

#[test]
fn an_end_that_was_not_announced_is_an_error() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        started(&listener, Tls::new(localhost().certificate())).await;
        let (stream, address) = listener.connect_stream()?;
        let connection = Connection::new(stream.clone(), address);
        let mut client = localhost().client().connect(connection, "localhost").await?;
        says_it_back(&mut client, b"hello").await;
        // The network ends the stream of the transport, without an end of TLS.
        let raw: Arc<dyn riot_socket::Transport> = stream;
        raw.shutdown(Shutdown::Read)?;
        let cut = client.read(&mut [0]).await.expect_err("the end was not announced");
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_protocol_that_returns_announces_the_end_and_one_that_panics_does_not() {
    Simulation::sweep(SEEDS, || async {
        for panics in [false, true] {
            let listener = Listener::new();
            Server::listen(listener.clone())
                .tls(Tls::new(localhost().certificate()))
                .start_link(move |mut connection: Connection| async move {
                    connection.write_all(b"half of").await?;
                    assert!(!panics, "unless the test wanted it");
                    Ok::<(), io::Error>(())
                })
                .await?;
            let mut client = localhost().client().connect(listener.connect()?, "localhost").await?;
            let end = client.read_to_end(100).await;
            match panics {
                false => assert_eq!(end?, b"half of"),
                true => assert_eq!(end.expect_err("it is cut off").kind(), io::ErrorKind::UnexpectedEof),
            }
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b12_stopping_ends_an_idle_session_in_order() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = started(&listener, Tls::new(localhost().certificate())).await;
        let mut client = localhost().client().connect(listener.connect()?, "localhost").await?;
        says_it_back(&mut client, b"hello").await;
        assert!(server.stop(Duration::from_secs(5)).await.cut.is_empty());
        assert_eq!(client.read(&mut [0]).await?, 0);
        Ok::<(), Reason>(())
    });
}

#[test]
fn bytes_that_the_system_did_not_take_are_sent_later() {
    Simulation::sweep(SEEDS, || async {
        let (one, other) = memory::pair();
        let server = spawn(async move {
            let connection = Connection::new(one, riot_socket::Address::Memory(1));
            let tls = Tls::new(localhost().certificate());
            let mut connection = tls.handshake(connection).await.expect("they agree");
            // More than the network holds, and less than the network and the session hold together.
            let written = connection.write(&[7; 64 * 1024]).await.expect("the write succeeds");
            assert_eq!(written, 64 * 1024);
            connection.flush().await.expect("the client reads in the end");
            receive::<()>().await;
        });
        let connection = Connection::new(other, riot_socket::Address::Memory(2));
        let mut client = localhost().client().connect(connection, "localhost").await?;
        sleep(Duration::from_secs(1)).await;
        let mut received = vec![0; 64 * 1024];
        client.read_exact(&mut received).await?;
        assert!(received.iter().all(|&byte| byte == 7));
        send(server, ());
        Ok::<(), Reason>(())
    });
}

/// Runs over a network that delays, splits, ends and resets at random: bytes arrive unchanged, nothing hangs,
/// and every permit is released.
#[test]
fn a_session_in_all_weathers() {
    let outcomes = Arc::new(Mutex::new([0, 0, 0]));
    for seed in 0..40 {
        let outcomes = outcomes.clone();
        Simulation::sweep([seed], move || {
            let outcomes = outcomes.clone();
            async move {
                let listener = Listener::new();
                listener.faults(
                    Faults::new(seed).short(300).delay(100, Duration::from_millis(300)).reset(15).end(15),
                );
                let server = Server::listen(listener.clone())
                    .tls(Tls::new(localhost().certificate()))
                    .start_link(echo)
                    .await?;
                for _ in 0..5 {
                    let outcome = conversation(listener.connect()?).await;
                    outcomes.lock().expect("no panic while locked")[outcome] += 1;
                }
                sleep(Duration::from_secs(60)).await;
                assert_eq!(server.info().active, 0);
                Ok::<(), Reason>(())
            }
        });
    }
    let outcomes = *outcomes.lock().expect("no panic while locked");
    assert!(outcomes.iter().all(|&number| number > 5), "refused, broken, whole: {outcomes:?}");
}

/// Returns how far an echo came: 0 without a session, 1 broken, 2 complete.
async fn conversation(connection: Connection) -> usize {
    let Ok(client) = localhost().client().connect(connection, "localhost").await else { return 0 };
    let sent: Vec<u8> = (0..1500_u32).map(|number| (number % 251) as u8).collect();
    let whole = sent.clone();
    let (mut reader, mut writer) = client.into_split();
    spawn(async move {
        if writer.write_all(&whole).await.is_ok() {
            let _ = writer.close().await;
        }
    });
    let (mut received, mut buffer) = (Vec::new(), [0; 512]);
    let end = loop {
        match reader.read(&mut buffer).await {
            Ok(0) => break true,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(_) => break false,
        }
    };
    assert!(sent.starts_with(&received), "bytes are lost at the end only, and none is another");
    // An announced end may still come early: that of the echo, when its own input ended early.
    if end && received == sent { 2 } else { 1 }
}
