//! The PROXY protocol (B16): its headers, complete and split, and the handshake that reads them.

mod common;
#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own there")]
mod targets;

use std::{io, net::SocketAddr, time::Duration};

use common::{SEEDS, echo, run, says_it_back, settle};
use proptest::{collection::vec, option, prelude::*};
use riot_actor::{Reason, receive, send, simulation::Simulation, this};
use riot_socket::{
    Address, Connection, Server, TcpStream, UnixAddress,
    memory::Listener,
    proxy::{
        Addresses, Proxied, ProxyHeader, ProxyInfo, ProxyParseError, ProxyProtocol, Ssl, SslClient, Tlv,
    },
};

fn v4() -> ProxyHeader {
    let source = "192.0.2.1:56324".parse().expect("an address");
    let destination = "198.51.100.7:443".parse().expect("an address");
    let addresses = Addresses::V4 { source, destination };
    ProxyHeader::Proxied(Proxied { addresses, datagram: false, tlvs: Vec::new() })
}

fn everything() -> ProxyHeader {
    let ssl = Ssl {
        client: SslClient { ssl: true, certificate_connection: true, certificate_session: false },
        verify: 7,
        version: Some(b"TLSv1.3".to_vec()),
        common_name: Some(b"example.org".to_vec()),
        cipher: Some(b"ECDHE-RSA-AES128-GCM-SHA256".to_vec()),
        signature_algorithm: Some(b"SHA256".to_vec()),
        key_algorithm: Some(b"RSA2048".to_vec()),
        others: vec![(0x2f, b"?".to_vec())],
    };
    let tlvs = vec![
        Tlv::Alpn(b"h2".to_vec()),
        Tlv::Authority(b"example.org".to_vec()),
        Tlv::UniqueId(b"unique".to_vec()),
        Tlv::Ssl(ssl),
        Tlv::Netns(b"/var/run/netns/example".to_vec()),
        Tlv::Other { kind: 0xe4, value: b"ours".to_vec() },
    ];
    let source = "[2001:db8::1]:56324".parse().expect("an address");
    let destination = "[2001:db8::2]:443".parse().expect("an address");
    ProxyHeader::Proxied(Proxied { addresses: Addresses::V6 { source, destination }, datagram: false, tlvs })
}

fn unix() -> ProxyHeader {
    let source = UnixAddress::Path("/run/client".into());
    let destination = UnixAddress::Abstract(b"server".to_vec());
    ProxyHeader::Proxied(Proxied {
        addresses: Addresses::Unix { source, destination },
        datagram: true,
        tlvs: Vec::new(),
    })
}

/// Returns valid headers of both versions.
fn corpus() -> Vec<Vec<u8>> {
    let v1 = [v4(), ProxyHeader::Unknown].into_iter().filter_map(|header| header.to_v1());
    let v2 = [v4(), everything(), unix(), ProxyHeader::Local, ProxyHeader::Unknown];
    let v2 = v2.into_iter().flat_map(|header| {
        [header.to_v2(), header.to_v2_with_checksum()].map(|bytes| bytes.expect("the value fits"))
    });
    v1.chain(v2).collect()
}

/// Builds a header of version 2 from its parts.
fn raw(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("the value fits").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, block].concat()
}

#[test]
fn b16_version_2_is_as_the_specification_draws_it() {
    let block = [192, 0, 2, 1, 198, 51, 100, 7, 220, 4, 1, 187];
    assert_eq!(v4().to_v2().expect("the value fits"), raw(0x21, 0x11, &block));
    // The checksum is iSCSI's CRC-32C over the whole header, as HAProxy computes it.
    let with_crc = v4().to_v2_with_checksum().expect("the value fits");
    assert_eq!(with_crc.len(), 16 + 12 + 7);
    let mut zeroed = with_crc.clone();
    zeroed[31..].fill(0);
    assert_eq!(with_crc[28..31], [3, 0, 4]);
    assert_eq!(with_crc[31..], crc_by_hand(&zeroed).to_be_bytes());
}

/// Computes a CRC-32C bit by bit (polynomial 0x1EDC6F41, reflected).
fn crc_by_hand(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn b16_a_header_cut_anywhere_says_the_same() {
    corpus().iter().for_each(|bytes| targets::proxy(bytes));
    let behind: Vec<_> = corpus().iter().map(|bytes| [bytes, &b"GET / HTTP/1.1\r\n"[..]].concat()).collect();
    behind.iter().for_each(|bytes| targets::proxy(bytes));
}

#[test]
fn b16_malformed_headers_are_refused() {
    let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 220, 4, 1, 187];
    let and = |more: &[u8]| [&v4[..], more].concat();
    let cases = [
        (raw(0x11, 0x11, &v4), ProxyParseError::Version(1)),
        (raw(0x22, 0x11, &v4), ProxyParseError::Command(2)),
        (raw(0x21, 0x41, &v4), ProxyParseError::Family(0x41)),
        (raw(0x21, 0x13, &v4), ProxyParseError::Family(0x13)),
        (raw(0x21, 0x11, &v4[..11]), ProxyParseError::TooShort),
        (raw(0x21, 0x21, &[0; 35]), ProxyParseError::TooShort),
        (raw(0x21, 0x31, &[0; 215]), ProxyParseError::TooShort),
        (raw(0x21, 0x11, &and(&[4, 0])), ProxyParseError::Tlv),
        (raw(0x21, 0x11, &and(&[4, 0, 2, 0])), ProxyParseError::Tlv),
        (raw(0x21, 0x11, &and(&[0x20, 0, 4, 0, 0, 0, 0])), ProxyParseError::Tlv),
        (raw(0x21, 0x11, &and(&[[5, 0, 129].as_slice(), &[b'x'; 129]].concat())), ProxyParseError::Tlv),
        (raw(0x21, 0x11, &and(&[3, 0, 3, 0, 0, 0])), ProxyParseError::Tlv),
        (raw(0x21, 0x11, &and(&[3, 0, 4, 1, 2, 3, 4])), ProxyParseError::Checksum),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), ProxyParseError::NoHeader),
        (b"GET / HTTP/1.1\r\n".to_vec(), ProxyParseError::NoHeader),
    ];
    for (bytes, error) in cases {
        assert_eq!(ProxyHeader::parse(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn b16_ignored_parts_are_skipped() {
    // The block of a local connection is skipped, and so is that of an unspecified family.
    for bytes in [raw(0x20, 0xff, b"anything"), raw(0x20, 0x11, &[0; 12])] {
        assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((ProxyHeader::Local, bytes.len()))));
    }
    let unspecified = raw(0x21, 0x00, b"anything");
    assert_eq!(ProxyHeader::parse(&unspecified), Ok(Some((ProxyHeader::Unknown, unspecified.len()))));
    // Padding is skipped too.
    let filled = raw(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 7, 220, 4, 1, 187, 4, 0, 2, 9, 9]);
    assert_eq!(ProxyHeader::parse(&filled), Ok(Some((v4(), filled.len()))));
}

#[test]
fn a_value_that_does_not_fit_is_not_written() {
    let long = UnixAddress::Path("x".repeat(109).into());
    let addresses = Addresses::Unix { source: long, destination: UnixAddress::Unnamed };
    let header = ProxyHeader::Proxied(Proxied { addresses, datagram: false, tlvs: Vec::new() });
    assert!(header.to_v2().is_err());
    assert!(
        everything().to_v1().is_none() && ProxyHeader::Local.to_v1().is_none() && unix().to_v1().is_none()
    );
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

fn ssl() -> impl Strategy<Value = Tlv> {
    let part = || option::of(bytes(20));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, any::<u32>(), part(), part(), part(), part(), part(), vec((0x26..=0xff_u8, bytes(9)), 0..3))
        .prop_map(
            |(flags, verify, version, common_name, cipher, signature_algorithm, key_algorithm, others)| {
                let (ssl, certificate_connection, certificate_session) = flags;
                let client = SslClient { ssl, certificate_connection, certificate_session };
                Tlv::Ssl(Ssl {
                    client,
                    verify,
                    version,
                    common_name,
                    cipher,
                    signature_algorithm,
                    key_algorithm,
                    others,
                })
            },
        )
}

fn header() -> impl Strategy<Value = ProxyHeader> {
    let tlv = prop_oneof![
        bytes(40).prop_map(Tlv::Alpn),
        bytes(40).prop_map(Tlv::Authority),
        bytes(129).prop_map(Tlv::UniqueId),
        bytes(40).prop_map(Tlv::Netns),
        ssl(),
        (0xe0..=0xff_u8, bytes(300)).prop_map(|(kind, value)| Tlv::Other { kind, value }),
    ];
    let v4 = || any::<(u32, u16)>().prop_map(|(ip, port)| std::net::SocketAddrV4::new(ip.into(), port));
    let v6 =
        || any::<(u128, u16)>().prop_map(|(ip, port)| std::net::SocketAddrV6::new(ip.into(), port, 0, 0));
    let path = || {
        prop_oneof![
            Just(UnixAddress::Unnamed),
            "[a-z/]{1,108}".prop_map(|path| UnixAddress::Path(path.into())),
            "[a-z/]{1,107}".prop_map(|name| UnixAddress::Abstract(name.into_bytes())),
        ]
    };
    let addresses = prop_oneof![
        (v4(), v4()).prop_map(|(source, destination)| Addresses::V4 { source, destination }),
        (v6(), v6()).prop_map(|(source, destination)| Addresses::V6 { source, destination }),
        (path(), path()).prop_map(|(source, destination)| Addresses::Unix { source, destination }),
    ];
    let proxied = (addresses, any::<bool>(), vec(tlv, 0..6))
        .prop_map(|(addresses, datagram, tlvs)| ProxyHeader::Proxied(Proxied { addresses, datagram, tlvs }));
    prop_oneof![1 => Just(ProxyHeader::Local), 1 => Just(ProxyHeader::Unknown), 20 => proxied]
}

proptest! {
    #[test]
    fn b16_a_written_header_is_read_again(header in header(), checksum: bool, behind in bytes(40)) {
        let written = if checksum { header.to_v2_with_checksum() } else { header.to_v2() };
        let mut bytes = written.expect("the value fits");
        let length = bytes.len();
        bytes.extend(behind);
        prop_assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((header.clone(), length))));
        if let Some(line) = header.to_v1() {
            prop_assert_eq!(ProxyHeader::parse(&line), Ok(Some((header, line.len()))));
        }
        targets::proxy(&bytes);
    }

    #[test]
    fn b16_mutated_headers_harm_nothing(
        which in 0..corpus().len(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = corpus().swap_remove(which);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        targets::proxy(&bytes);
    }

    #[test]
    fn b16_a_checksum_detects_a_changed_bit(header in header(), at: prop::sample::Index, bit in 0..8) {
        let ProxyHeader::Proxied(proxied) = &header else { return Ok(()) };
        let mut bytes = header.to_v2_with_checksum().expect("the value fits");
        let length = match proxied.addresses {
            Addresses::V4 { .. } => 12,
            Addresses::V6 { .. } => 36,
            Addresses::Unix { .. } => 216,
        };
        bytes[16 + at.index(length)] ^= 1_u8 << bit;
        prop_assert_eq!(ProxyHeader::parse(&bytes), Err(ProxyParseError::Checksum));
    }
}

/// Returns what the server sees of a client that sends `sent`, in pieces of `cut` bytes: the peer, the local
/// address, the header, and the first bytes behind it.
async fn observed(
    proxy: ProxyProtocol,
    cut: usize,
    sent: Vec<u8>,
    extra: &'static [u8],
) -> (Address, Option<Address>, Option<ProxyInfo>) {
    let listener = Listener::new();
    listener.max_transfer(cut);
    let watcher = this();
    Server::listen(listener.clone())
        .proxy_protocol(proxy)
        .start_link(move |connection: Connection| async move {
            let info = connection.get::<ProxyInfo>().cloned();
            send(watcher, (connection.peer().clone(), connection.local_address().ok(), info));
            echo(connection).await
        })
        .await
        .expect("the server starts");
    let mut client = listener.connect().expect("the listener is bound");
    client.write_all(&[&sent[..], extra].concat()).await.expect("the read succeeds");
    let mut back = vec![0; extra.len()];
    client.read_exact(&mut back).await.expect("nothing behind the header is lost");
    assert_eq!(back, extra);
    says_it_back(&mut client, b"and the rest").await;
    receive().await
}

/// Runs a scenario of Ranch's, with and without extra data behind the header, over a network that splits
/// transfers.
fn recv_header(header: &ProxyHeader, bytes: &[u8]) {
    for extra in [&b""[..], b"HELLO"] {
        for cut in [1, 7, usize::MAX] {
            let (header, bytes) = (header.clone(), bytes.to_vec());
            Simulation::sweep(0..10, move || {
                let (header, bytes) = (header.clone(), bytes.clone());
                async move {
                    let (peer, local, info) = observed(ProxyProtocol::required(), cut, bytes, extra).await;
                    let proxy = Address::Memory(1);
                    let expected = match &header {
                        ProxyHeader::Proxied(proxied) => {
                            (proxied.addresses.source(), Some(proxied.addresses.destination()))
                        }
                        _ => (proxy.clone(), Some(Address::Memory(0))),
                    };
                    assert_eq!((peer, local), expected);
                    assert_eq!(info, Some(ProxyInfo { header, proxy }));
                }
            });
        }
    }
}

#[test]
fn b16_recv_v1_proxy_header() {
    for header in [v4(), ProxyHeader::Unknown] {
        recv_header(&header, &header.to_v1().expect("version 1 has room for it"));
    }
}

#[test]
fn b16_recv_v2_proxy_header() {
    for header in [v4(), everything(), unix(), ProxyHeader::Unknown] {
        recv_header(&header, &header.to_v2_with_checksum().expect("the value fits"));
    }
}

#[test]
fn b16_recv_v2_local_header() {
    recv_header(&ProxyHeader::Local, &ProxyHeader::Local.to_v2().expect("the value fits"));
}

/// Returns the number of failed handshakes after a client sent these bytes.
async fn failures(proxy: ProxyProtocol, sent: Vec<u8>) -> u64 {
    let listener = Listener::new();
    let server = Server::listen(listener.clone())
        .proxy_protocol(proxy)
        .start_link(echo)
        .await
        .expect("the server starts");
    let mut client = listener.connect().expect("the listener is bound");
    client.write_all(&sent).await.expect("the read succeeds");
    client.close().await.expect("the read succeeds");
    assert_eq!(
        client.read_to_end(100).await.expect("the server closes the connection"),
        b"",
        "nothing is served"
    );
    settle().await;
    let info = server.info();
    assert_eq!((info.active, info.ended.crashed), (0, 0));
    info.handshake_errors
}

#[test]
fn b16_a_malformed_or_missing_header_closes() {
    Simulation::sweep(0..5, || async {
        let required = ProxyProtocol::required;
        for sent in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 1 2 3 4\r\n", b"", b"PROXY TCP4 192.0.2.1"]
        {
            assert_eq!(failures(required(), sent.into()).await, 1, "{sent:?}");
        }
        let long = everything().to_v2_with_checksum().expect("the value fits");
        assert_eq!(failures(required().max_bytes(long.len() - 1), long).await, 1);
    });
}

#[test]
fn b16_an_optional_header_is_taken_where_there_is_one() {
    Simulation::sweep(SEEDS, || async {
        let optional = || ProxyProtocol::optional([]);
        let line = v4().to_v1().expect("version 1 has room for it");
        let (peer, ..) = observed(optional(), 3, line, b"hello").await;
        assert_eq!(peer, Address::Ip("192.0.2.1:56324".parse().expect("an address")));
        // `P` could begin a header. No byte is lost when it does not.
        for text in [&b"POST / HTTP/1.1\r\n"[..], b"\r\n\r\nhello", b"x"] {
            let (peer, _, info) = observed(optional(), 1, Vec::new(), text).await;
            assert_eq!((peer, info), (Address::Memory(1), None));
        }
        assert_eq!(
            failures(optional(), b"PROXY TCP4 1 2 3 4\r\n".to_vec()).await,
            1,
            "a broken one is no text"
        );
    });
}

#[test]
fn b16_only_proxies_may_speak_for_others() {
    run(async {
        let line = v4().to_v1().expect("version 1 has room for it");
        let here = || ["127.0.0.0/8".parse().expect("a network")];
        let elsewhere = || ["10.0.0.0/8".parse().expect("a network")];
        let peer_of = |proxy: ProxyProtocol, sent: Vec<u8>| async move {
            let server = Server::bind("127.0.0.1:0")?
                .proxy_protocol(proxy)
                .start_link(|mut connection: Connection| async move {
                    // A close with unread bytes would reset the connection.
                    connection.read_to_end(1000).await?;
                    let peer = connection.peer().to_string();
                    connection.write_all(peer.as_bytes()).await
                })
                .await?;
            let address: SocketAddr = server.local_addr();
            let mut client: Connection = TcpStream::connect(address).await?.try_into()?;
            client.write_all(&sent).await?;
            client.close().await?;
            let answer = client.read_to_end(100).await;
            server.stop(Duration::ZERO).await;
            Ok::<_, Reason>(answer.map(|answer| String::from_utf8(answer).expect("text")))
        };
        let named = "192.0.2.1:56324";
        assert_eq!(peer_of(ProxyProtocol::required().from(here()), line.clone()).await??, named);
        assert_eq!(peer_of(ProxyProtocol::optional(here()), line.clone()).await??, named);
        let itself = peer_of(ProxyProtocol::optional(elsewhere()), line.clone()).await?;
        assert!(itself.is_ok_and(|peer| peer.starts_with("127.0.0.1:")));
        let refused = peer_of(ProxyProtocol::required().from(elsewhere()), line).await?;
        assert!(
            refused
                .as_ref()
                .map_or_else(|error| error.kind() == io::ErrorKind::ConnectionReset, String::is_empty)
        );
        Ok(())
    });
}
