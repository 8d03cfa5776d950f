//! `start_link(port)` serves every address of the machine.
#![cfg(feature = "driver")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
};

use riot_actor::{Reason, runtime::blocking};
use riot_http::{Reqd, Response};

fn asked(host: SocketAddr) -> std::io::Result<String> {
    let mut client = TcpStream::connect(host)?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn start_link_serves_ipv4_and_ipv6_and_shows_peers_of_ipv4_as_such() {
    let reason = riot_actor::run(async {
        let server = riot_http::start_link(0, |reqd: Reqd| async move {
            let peer = reqd.peer().map(|peer| peer.ip().to_string()).unwrap_or_default();
            reqd.respond_with_string(Response::ok(), peer)
        })
        .await?;
        let port = server.local_addr().port();
        let answer = blocking(move || asked((Ipv4Addr::LOCALHOST, port).into())).await?;
        assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            let answer = blocking(move || asked((Ipv6Addr::LOCALHOST, port).into())).await?;
            assert!(answer.ends_with("\r\n\r\n::1"), "{answer}");
        } else {
            eprintln!("skipped: this machine has no IPv6");
        }
        server.stop(std::time::Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
}
