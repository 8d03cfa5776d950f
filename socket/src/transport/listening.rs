//! The check that a socket which was opened elsewhere can be accepted from.

use std::io;

use socket2::{SockRef, Type};

/// The family of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Internet,
    Unix,
}

/// Checks that `socket` listens for streams of a family. Without the check every accept would fail, and the
/// acceptors of a server would be restarted in vain. (systemd: sd_is_socket(3).)
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], whose text is the reason.
pub(super) fn check<'s>(socket: impl Into<SockRef<'s>>, family: Family) -> io::Result<()> {
    let socket = socket.into();
    let refused = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    let Ok(kind) = socket.r#type() else { return refused("the descriptor is not a socket") };
    let address = socket.local_addr()?;
    match family {
        Family::Internet if address.as_socket().is_none() => return refused("the socket is not one of TCP"),
        Family::Unix if !address.is_unix() => return refused("the socket is not a Unix socket"),
        _ => {}
    }
    if kind != Type::STREAM {
        return refused("the socket is not one for streams");
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if !socket.is_listener()? {
        return refused("the socket does not listen");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket};

    use super::*;

    #[track_caller]
    fn refused(socket: &Socket, family: Family, reason: &str) {
        let error = check(socket, family).expect_err("the socket is of the wrong kind");
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidInput, reason));
    }

    fn bound(domain: Domain, kind: Type) -> Socket {
        let socket = Socket::new(domain, kind, None).expect("a socket");
        if domain == Domain::IPV4 {
            let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
            socket.bind(&any.into()).expect("the address is free");
        }
        socket
    }

    #[test]
    fn b15_a_socket_of_the_wrong_kind_or_state_is_refused_with_the_reason() {
        let tcp = bound(Domain::IPV4, Type::STREAM);
        refused(&tcp, Family::Internet, "the socket does not listen");
        refused(&tcp, Family::Unix, "the socket is not a Unix socket");
        tcp.listen(1).expect("it listens");
        check(&tcp, Family::Internet).expect("it listens");
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        client.connect(&tcp.local_addr().expect("an address")).expect("it listens");
        refused(&client, Family::Internet, "the socket does not listen");
        tcp.shutdown(std::net::Shutdown::Read).expect("it is open");
        refused(&tcp, Family::Internet, "the socket does not listen");
        refused(&bound(Domain::IPV4, Type::DGRAM), Family::Internet, "the socket is not one for streams");
        refused(&bound(Domain::UNIX, Type::STREAM), Family::Unix, "the socket does not listen");
        refused(&bound(Domain::UNIX, Type::STREAM), Family::Internet, "the socket is not one of TCP");
        let packets = bound(Domain::UNIX, Type::SEQPACKET);
        refused(&packets, Family::Unix, "the socket is not one for streams");
        let file = std::fs::File::open("/dev/null").expect("the file exists");
        let error = check(&file, Family::Unix).expect_err("it is no socket");
        assert_eq!(error.to_string(), "the descriptor is not a socket");
    }
}
