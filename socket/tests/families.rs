//! A port of every address of the machine: IPv6 and IPv4.

mod common;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use common::run;
use riot_actor::{Reason, receive, send, this};
use riot_socket::{Address, Connection, Options, Server, ServerStartError, TcpListener, TcpStream};

/// Returns whether this machine has IPv6.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn b19_a_port_serves_both_families_and_shows_ipv4_clients_as_such() {
    run(async {
        let test = this();
        let server = Server::bind_port(0)
            .start_link(move |connection: Connection| async move {
                send(test, (connection.peer().clone(), connection.local_address()));
            })
            .await?;
        let port = server.local_addr().port();
        let mut hosts = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ([127, 0, 0, 9], port).into()];
        if has_ipv6() {
            hosts.push((Ipv6Addr::LOCALHOST, port).into());
            hosts.push((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into());
        } else {
            eprintln!("skipped: this machine has no IPv6");
        }
        for host in hosts {
            let client = TcpStream::connect(host).await?;
            let shown = Address::from(host);
            assert_eq!(Address::Ip(client.peer_addr()?), shown);
            let (peer, local) = receive::<(Address, std::io::Result<Address>)>().await;
            assert_eq!(peer, Address::Ip(client.local_addr()?), "{host}");
            let is_ipv4 = |address: &Address| address.as_ip().is_some_and(|address| address.is_ipv4());
            assert_eq!(is_ipv4(&peer), is_ipv4(&shown), "{peer}");
            assert_eq!(local?, shown);
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b19_a_port_of_which_one_family_is_in_use_is_refused() {
    run(async {
        let taken = std::net::TcpListener::bind("0.0.0.0:0")?;
        let port = taken.local_addr()?.port();
        match Server::bind_port(port).start_link(common::echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        if has_ipv6() {
            let taken = TcpListener::bind("[::]:0".parse()?, &Options::new().ipv6_only())?;
            let port = taken.local_addr()?.port();
            match Server::bind_port(port).start_link(common::echo).await {
                Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
                other => panic!("{other:?}"),
            }
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b19_it_is_bound_again_at_the_same_port() {
    run(async {
        let server = Server::bind_port(0).start_link(common::echo).await?;
        let before = server.local_addr();
        server.suspend().await;
        server.resume().await?;
        assert_eq!(server.local_addr(), before);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, before.port()).into()).await.is_ok());
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}
