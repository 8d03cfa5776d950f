//! Unix sockets: their files, their names, and servers on them.

mod common;

use std::{fs, io, os::unix::fs::PermissionsExt, time::Duration};

use common::{Folder, echo, run, says_it_back};
use riot_actor::{Reason, exit, monitor, process::tree};
use riot_socket::{Address, Connection, Server, ServerStartError, UnixAddress, UnixBind};

fn kind(result: io::Result<Connection>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn b02_local_echo_and_the_file_is_gone_after_the_stop() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = Server::bind_unix(&path).start_link(echo).await?;
        assert_eq!(server.info().address, Some(Address::Unix(UnixAddress::Path(path.clone()))));
        let mut client = Connection::connect_unix(&path).await?;
        assert_eq!(client.peer(), &Address::Unix(UnixAddress::from(&path)));
        says_it_back(&mut client, b"Ranch is working!").await;
        assert!(server.stop(Duration::from_secs(5)).await.cut.is_empty());
        assert_eq!(client.read(&mut [0]).await?, 0);
        assert!(!path.exists());
        assert_eq!(kind(Connection::connect_unix(&path).await), Some(io::ErrorKind::NotFound));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_stale_file_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        assert!(path.exists(), "the standard library leaves the file");
        let server = Server::bind_unix(&path).start_link(echo).await?;
        says_it_back(&mut Connection::connect_unix(&path).await?, b"hello").await;
        server.stop(Duration::from_secs(5)).await;
        assert!(!path.exists());
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_file_at_which_a_process_listens_is_refused_and_stays() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = Server::bind_unix(&path).start_link(echo).await?;
        match Server::bind_unix(&path).start_link(echo).await {
            Err(ServerStartError::Bind(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                let path = path.display();
                assert_eq!(error.to_string(), format!("cannot listen on unix:{path}: the address is in use"));
            }
            other => panic!("{other:?}"),
        }
        says_it_back(&mut Connection::connect_unix(&path).await?, b"still there").await;
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_file_of_a_socket_that_does_not_listen_yet_is_refused_and_stays() {
    for kind in [socket2::Type::STREAM, socket2::Type::DGRAM, socket2::Type::SEQPACKET] {
        let folder = Folder::new();
        let path = folder.path("socket");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, kind, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        run(async move {
            match Server::bind_unix(&path).start_link(echo).await {
                Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
                other => panic!("{other:?}"),
            }
            assert!(path.exists());
            if kind == socket2::Type::STREAM {
                socket.listen(1)?;
                assert!(std::os::unix::net::UnixStream::connect(&path).is_ok(), "its program goes on");
            }
            Ok::<(), Reason>(())
        });
    }
}

/// Starts a number of servers at once, in threads, as programs of their own would.
#[test]
fn b02_of_servers_that_start_at_once_one_gets_a_stale_path() {
    for _ in 0..20 {
        let folder = Folder::new();
        let path = folder.path("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bind = || riot_socket::Bind::bind(&UnixBind::new(&path));
        let bound: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..8).map(|_| scope.spawn(bind)).collect();
            starting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let bound: Vec<_> = bound.into_iter().filter_map(Result::ok).collect();
        assert_eq!(bound.len(), 1);
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(bound);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "neither the socket nor a lock is left");
    }
}

#[test]
fn b02_a_path_at_the_limit_of_its_length_is_replaced_and_a_longer_one_refused() {
    let folder = Folder::new();
    let room = 107 - folder.path("").as_os_str().len();
    let (path, long) = (folder.path(&"x".repeat(room)), folder.path(&"x".repeat(room + 1)));
    run(async move {
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        let server = Server::bind_unix(&path).start_link(echo).await?;
        says_it_back(&mut Connection::connect_unix(&path).await?, b"hello").await;
        server.stop(Duration::ZERO).await;
        assert!(!path.exists());
        match Server::bind_unix(&long).start_link(echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::InvalidInput),
            other => panic!("{other:?}"),
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_full_backlog_shows_a_listener() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
    run(async move {
        let result = Server::bind_unix(&path).start_link(echo).await;
        assert!(
            matches!(result, Err(ServerStartError::Bind(error)) if error.kind() == io::ErrorKind::AddrInUse)
        );
        assert!(path.exists());
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_full_backlog_is_waited_for() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    run(async move {
        let mut connecting =
            riot_actor::task::Task::spawn(async move { Connection::connect_unix(path).await.is_ok() });
        let accepting =
            riot_actor::runtime::blocking(move || socket.accept().and_then(|_| socket.accept()).map(drop));
        accepting.await?;
        assert_eq!(connecting.wait(None).await, Ok(true));
        Ok::<(), Reason>(())
    });
}

/// Connects many clients to a listener that accepts none: other work that blocks goes on meanwhile.
#[test]
fn b24_a_full_backlog_takes_no_thread_from_other_work() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    run(async move {
        let connecting: Vec<_> = (0..200)
            .map(|_| {
                let path = path.clone();
                riot_actor::task::Task::spawn(async move { Connection::connect_unix(path).await.is_ok() })
            })
            .collect();
        riot_actor::sleep(Duration::from_millis(100)).await;
        let worked = riot_actor::timeout(Duration::from_secs(20), riot_actor::runtime::blocking(|| 7)).await;
        assert_eq!(worked.expect("no thread is taken"), 7);
        // Attempts that are given up leave nothing behind; the others are served in the end.
        let mut connecting = connecting.into_iter();
        drop(connecting.by_ref().take(150).collect::<Vec<_>>());
        // The thread ends with the program of the tests.
        std::thread::spawn(move || while socket.accept().is_ok() {});
        for mut client in connecting {
            assert_eq!(client.wait(None).await, Ok(true));
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_file_that_is_no_socket_is_not_touched() {
    let folder = Folder::new();
    let path = folder.path("precious");
    fs::write(&path, "data").unwrap();
    run(async move {
        let result = Server::bind_unix(&path).start_link(echo).await;
        assert!(
            matches!(result, Err(ServerStartError::Bind(error)) if error.kind() == io::ErrorKind::AddrInUse)
        );
        assert_eq!(fs::read_to_string(&path)?, "data");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b02_a_file_of_a_successor_is_not_removed() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let before = Server::bind_unix(&path).start_link(echo).await?;
        fs::remove_file(&path)?;
        fs::write(&path, "a file that is no socket")?;
        before.stop(Duration::from_secs(5)).await;
        assert!(path.exists());
        fs::remove_file(&path)?;
        let before = Server::bind_unix(&path).start_link(echo).await?;
        fs::remove_file(&path)?;
        let after = Server::bind_unix(&path).start_link(echo).await?;
        before.stop(Duration::from_secs(5)).await;
        says_it_back(&mut Connection::connect_unix(&path).await?, b"the successor's").await;
        after.stop(Duration::from_secs(5)).await;
        assert!(!path.exists());
        Ok::<(), Reason>(())
    });
}

#[test]
fn b09_a_unix_socket_is_bound_again_under_live_connections() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = Server::bind_unix(&path).acceptors(2).start_link(echo).await?;
        let mut live = Connection::connect_unix(&path).await?;
        says_it_back(&mut live, b"before").await;
        let sup = tree().labelled("Acceptor.Sup")[0];
        let down = monitor(sup);
        exit(sup, Reason::Kill);
        down.down().await;
        let mut next = loop {
            match Connection::connect_unix(&path).await {
                Ok(client) => break client,
                Err(_) => riot_actor::process::yield_now().await,
            }
        };
        says_it_back(&mut next, b"next").await;
        says_it_back(&mut live, b"after").await;
        server.stop(Duration::from_secs(5)).await;
        assert!(!path.exists());
        Ok::<(), Reason>(())
    });
}

#[test]
fn permissions_are_set_before_anybody_can_connect() {
    let folder = Folder::new();
    let path = folder.path("socket");
    run(async move {
        let server = Server::listen(UnixBind::new(&path).mode(0o600)).start_link(echo).await?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_abstract_name_needs_no_file() {
    let name = UnixAddress::Abstract(format!("riot-test-{}", std::process::id()).into_bytes());
    run(async move {
        let server = Server::listen(UnixBind::new(name.clone())).start_link(echo).await?;
        assert_eq!(server.info().address, Some(Address::Unix(name.clone())));
        assert!(name.to_string().starts_with("unix:@riot-test-"), "{name}");
        says_it_back(&mut Connection::connect_unix(name.clone()).await?, b"hello").await;
        server.stop(Duration::from_secs(5)).await;
        assert_eq!(kind(Connection::connect_unix(name).await), Some(io::ErrorKind::ConnectionRefused));
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_path_that_is_none_is_refused() {
    run(async {
        assert_eq!(kind(Connection::connect_unix("").await), Some(io::ErrorKind::InvalidInput));
        let long = "x".repeat(200);
        assert_eq!(kind(Connection::connect_unix(&long).await), Some(io::ErrorKind::InvalidInput));
        Ok::<(), Reason>(())
    });
}
