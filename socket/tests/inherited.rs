//! Listening sockets that were opened elsewhere: B15.

mod common;

use std::{io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use common::{Folder, echo, run, says_it_back};
use riot_actor::Reason;
use riot_socket::{
    Address, Connection, OpenSocket, Server, ServerStartError, TcpStream, UnixAddress, UnixListener,
};
use socket2::{Domain, Socket, Type};

/// Returns descriptors that look like listeners and are none, each with the reason.
fn impostors() -> Vec<(OpenSocket, &'static str)> {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let internet = |kind| {
        let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
        socket.bind(&any.into()).expect("the address is free");
        OpenSocket::from(std::net::TcpListener::from(OwnedFd::from(socket)))
    };
    let unix = |kind| {
        let socket = Socket::new(Domain::UNIX, kind, None).expect("a socket");
        OpenSocket::from(std::os::unix::net::UnixListener::from(OwnedFd::from(socket)))
    };
    let file: OwnedFd = std::fs::File::open("/dev/null").expect("the file exists").into();
    let (connected, _peer) = std::os::unix::net::UnixStream::pair().expect("two sockets");
    let crossed = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    vec![
        (internet(Type::STREAM), "the socket does not listen"),
        (internet(Type::DGRAM), "the socket is not one for streams"),
        (unix(Type::STREAM), "the socket does not listen"),
        (unix(Type::SEQPACKET), "the socket is not one for streams"),
        (std::net::TcpListener::from(file).into(), "the descriptor is not a socket"),
        (
            std::os::unix::net::UnixListener::from(OwnedFd::from(connected)).into(),
            "the socket does not listen",
        ),
        (std::net::TcpListener::from(OwnedFd::from(crossed)).into(), "the socket is not one of TCP"),
    ]
}

#[test]
fn b15_a_descriptor_that_cannot_be_accepted_from_is_refused_at_the_start() {
    run(async {
        for (socket, reason) in impostors() {
            match Server::listen(socket).start_link(echo).await {
                Err(ServerStartError::Bind(error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                    assert_eq!(error.to_string(), reason);
                }
                other => panic!("{reason}: {other:?}"),
            }
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b15_a_socket_at_another_address_than_asked_for_is_refused() {
    let folder = Folder::new();
    let (path, other) = (folder.path("socket"), folder.path("other"));
    run(async move {
        let tcp = || std::net::TcpListener::bind("127.0.0.1:0").expect("the address is free");
        let listener = tcp();
        let here = listener.local_addr()?;
        let ip = |text: &str| Address::from(text.parse::<SocketAddr>().expect("an address"));
        let mut socket = OpenSocket::from(listener);
        assert_eq!(socket.address()?, Address::Ip(here));
        for wanted in [Address::Ip(here), ip("127.0.0.1:0"), ip("0.0.0.0:0")] {
            socket = socket.require(wanted)?;
        }
        for wanted in [ip("127.0.0.2:0"), ip("[::]:0"), ip("127.0.0.1:1"), UnixAddress::from(&path).into()] {
            let refused = OpenSocket::from(tcp()).require(wanted.clone()).expect_err("another address");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            assert!(refused.to_string().ends_with(&format!(", not on {wanted}")), "{refused}");
        }
        let server = Server::listen(socket).start_link(echo).await?;
        says_it_back(&mut TcpStream::connect(here).await?.try_into()?, b"hello").await;
        server.stop(Duration::ZERO).await;

        let unix = OpenSocket::from(std::os::unix::net::UnixListener::bind(&path)?);
        let unix = unix.require(UnixAddress::from(&path))?;
        let server = Server::listen(unix).start_link(echo).await?;
        says_it_back(&mut Connection::connect_unix(&path).await?, b"hello").await;
        server.stop(Duration::ZERO).await;
        let elsewhere = OpenSocket::from(std::os::unix::net::UnixListener::bind(&other)?);
        assert!(elsewhere.require(UnixAddress::from(&path)).is_err());
        let closed = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let closed = std::os::unix::net::UnixListener::from(OwnedFd::from(closed));
        assert!(UnixListener::from_std(closed.try_clone()?).is_err());
        assert!(OpenSocket::from(closed).require(UnixAddress::Unnamed).is_err());
        Ok::<(), Reason>(())
    });
}
