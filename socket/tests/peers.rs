//! Foreign peers: `openssl s_client`, and HAProxy in front of a server, with the PROXY protocol and health
//! checks. The test of a program that is not installed says so, and is skipped.
#![cfg(target_os = "linux")]

mod common;

use std::{
    net::SocketAddr,
    os::fd::AsRawFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Folder, run};
use riot_actor::process::yield_now;
use riot_socket::{
    Connection, Server, TcpStream,
    proxy::{Addresses, Proxied, ProxyHeader, ProxyInfo, ProxyProtocol, Tlv},
};
use socket2::{Domain, Socket, Type};

/// Returns whether a program is installed, and prints a note if not.
fn installed(program: &str, version: &str) -> bool {
    let found =
        Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// HAProxy, killed when dropped.
struct Haproxy {
    child: Child,
    /// The address it listens on.
    address: SocketAddr,
    _folder: Folder,
}

impl Haproxy {
    /// Starts HAProxy in front of `server`, with these options for the connections to it. It inherits its
    /// listening socket, so no port has to be guessed, and clients can connect at once.
    fn in_front_of(server: SocketAddr, options: &str) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        listener.bind(&any.into()).expect("the bind succeeds");
        listener.listen(16).expect("the listener is bound");
        listener.set_cloexec(false).expect("the descriptor is open");
        let address = listener.local_addr().expect("the listener is bound").as_socket().expect("TCP");
        let folder = Folder::new();
        let config = folder.path("haproxy.cfg");
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
             frontend front\n bind fd@{}\n unique-id-format id-%[rand(1)]\n default_backend back\n\
             backend back\n server one {server} {options}\n",
            listener.as_raw_fd(),
        );
        std::fs::write(&config, text).expect("there is room");
        let child = Command::new("haproxy").arg("-db").arg("-f").arg(&config).stderr(Stdio::null()).spawn();
        Self { child: child.expect("the program is installed"), address, _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns all headers that HAProxy sends with these options, up to the first client and the first health
/// check, each with the address of the connection's peer.
fn headers_received(options: &'static str, checks: bool) -> Vec<(String, ProxyHeader)> {
    let result = Arc::new(Mutex::new(Vec::new()));
    let place = result.clone();
    run(async move {
        let headers = place.clone();
        let server = Server::bind("127.0.0.1:0")?
            .proxy_protocol(ProxyProtocol::required().from(["127.0.0.0/8".parse()?]))
            .start_link(move |mut connection: Connection| {
                let info = connection.get::<ProxyInfo>().expect("the header is required").clone();
                let peer = connection.peer().to_string();
                let check = info.header == ProxyHeader::Local;
                headers.lock().expect("no panic while locked").push((peer.clone(), info.header));
                async move {
                    if check {
                        return Ok(());
                    }
                    let mut order = [0; 5];
                    connection.read_exact(&mut order).await?;
                    connection
                        .write_all(format!("{peer} said {}", String::from_utf8_lossy(&order)).as_bytes())
                        .await?;
                    connection.close().await
                }
            })
            .await?;
        let haproxy = Haproxy::in_front_of(server.local_addr(), options);
        let mut client: Connection = TcpStream::connect(haproxy.address).await?.try_into()?;
        let address = client.local_address()?;
        client.write_all(b"hello").await?;
        let answer = String::from_utf8(client.read_to_end(1000).await?).expect("text");
        assert_eq!(answer, format!("{address} said hello"), "the server sees the client, and every byte");
        let is_local = |(_, header): &(String, ProxyHeader)| *header == ProxyHeader::Local;
        while checks && !place.lock().expect("no panic while locked").iter().any(is_local) {
            yield_now().await;
        }
        drop(haproxy);
        server.stop(Duration::from_secs(5)).await;
        assert_eq!((server.info().ended.crashed, server.info().handshake_errors), (0, 0));
        Ok(())
    });
    Arc::into_inner(result).expect("the server is gone").into_inner().expect("no panic while locked")
}

#[test]
fn b16_haproxy_speaks_version_1() {
    if !installed("haproxy", "-v") {
        return;
    }
    let told = headers_received("send-proxy", false);
    let [(peer, ProxyHeader::Proxied(Proxied { addresses: Addresses::V4 { source, .. }, tlvs, .. }))] =
        &told[..]
    else {
        panic!("one client over IPv4: {told:?}")
    };
    assert_eq!(*peer, source.to_string());
    assert!(tlvs.is_empty());
}

#[test]
fn b16_haproxy_speaks_version_2_with_a_checksum_and_checks_the_servers_health() {
    if !installed("haproxy", "-v") {
        return;
    }
    let told = headers_received("send-proxy-v2 proxy-v2-options crc32c,unique-id check inter 100ms", true);
    let clients: Vec<_> = told.iter().filter(|(_, header)| *header != ProxyHeader::Local).collect();
    let [(_, ProxyHeader::Proxied(Proxied { tlvs, datagram: false, .. }))] = clients[..] else {
        panic!("one client: {told:?}")
    };
    assert!(tlvs.contains(&Tlv::UniqueId(b"id-0".to_vec())), "{tlvs:?}");
    // A health check is made by the proxy itself: the peer stays that of the connection.
    assert!(
        told.iter().any(|(peer, header)| *header == ProxyHeader::Local && peer.starts_with("127.0.0.1:"))
    );
}

#[cfg(feature = "tls")]
mod tls {
    use std::io;

    use super::*;
    use riot_actor::runtime::blocking;
    use riot_socket::tls::{Certificate, Certificates, Tls};

    /// A protocol that sends one line back, and closes.
    async fn one_line(mut connection: Connection) -> io::Result<()> {
        let mut line = vec![0];
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            connection.read_exact(&mut byte).await?;
            line.extend(byte);
        }
        connection.write_all(&line[1..]).await?;
        connection.close().await
    }

    /// Returns the output of `openssl s_client` with these arguments, which sends a line and gets it back.
    fn s_client(arguments: &'static [&'static str]) -> Option<String> {
        if !installed("openssl", "version") {
            return None;
        }
        let heard = Arc::new(Mutex::new(String::new()));
        let place = heard.clone();
        let folder = Folder::new();
        run(async move {
            let made = rcgen::generate_simple_self_signed(["riot.example.org".to_owned()])?;
            let roots = folder.path("roots.pem");
            std::fs::write(&roots, made.cert.pem())?;
            let key = made.signing_key.serialize_pem();
            let certificates = Certificates::new();
            let certificate = Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes())?;
            certificates.set("riot.example.org", certificate);
            let tls = Tls::new(certificates).alpn(["echo"]);
            let server = Server::bind("127.0.0.1:0")?.tls(tls).start_link(one_line).await?;
            let address = server.local_addr().to_string();
            let output = blocking(move || {
                let script =
                    "echo hello | exec openssl s_client -ign_eof -CAfile \"$0\" -connect \"$@\" 2>&1";
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).arg(roots).arg(address).args(arguments);
                shell.output()
            });
            *place.lock().expect("no panic while locked") =
                String::from_utf8_lossy(&output.await?.stdout).into();
            server.stop(Duration::from_secs(5)).await;
            Ok(())
        });
        Some(Arc::into_inner(heard).expect("the server is gone").into_inner().expect("no panic while locked"))
    }

    const KNOWN: &str = "riot.example.org";

    #[test]
    fn openssl_agrees_on_version_1_3_with_sni_and_alpn() {
        let Some(heard) = s_client(&["-servername", KNOWN, "-alpn", "other,echo", "-verify_return_error"])
        else {
            return;
        };
        for expected in ["TLSv1.3", "ALPN protocol: echo", "Verify return code: 0 (ok)", "\nhello\n"] {
            assert!(heard.contains(expected), "no {expected:?} in {heard}");
        }
    }

    #[test]
    fn openssl_agrees_on_version_1_2_and_hears_an_end_in_order() {
        let Some(heard) = s_client(&["-servername", KNOWN, "-tls1_2", "-quiet"]) else {
            return;
        };
        assert!(heard.ends_with("hello\n"), "{heard}");
        assert!(!heard.contains("error"), "{heard}");
    }

    #[test]
    fn openssl_is_refused_where_there_is_no_certificate_for_the_host() {
        let Some(heard) = s_client(&["-servername", "other.example.org"]) else { return };
        assert!(heard.contains("alert") && !heard.contains("\nhello\n"), "{heard}");
    }
}
