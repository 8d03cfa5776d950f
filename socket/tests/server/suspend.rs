//! Suspending and resuming: B11.

use super::*;

#[test]
fn b11_suspended_it_refuses_and_resumed_it_accepts_with_changed_settings() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(2).start_link(echo).await?;
        let mut live = listener.connect()?;
        says_it_back(&mut live, b"before").await;
        for _ in 0..2 {
            server.suspend().await;
            assert!(listener.connect().is_err(), "new clients are refused");
            assert_eq!((server.info().state, server.address()), (ServerState::Suspended, None));
        }
        says_it_back(&mut live, b"meanwhile").await;
        server.set_acceptors(5);
        server.set_protocol(|mut connection: Connection| async move { connection.write_all(b"new").await });
        for _ in 0..2 {
            server.resume().await?;
            assert_eq!(server.info().state, ServerState::Running);
        }
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 5);
        let mut greeting = [0; 3];
        listener.connect()?.read_exact(&mut greeting).await?;
        assert_eq!(&greeting, b"new");
        says_it_back(&mut live, b"after").await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn b11_a_server_that_cannot_be_bound_again_stays_suspended_and_returns_the_error() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).start_link(echo).await?;
        server.suspend().await;
        listener.refuse_bind(Some(io::ErrorKind::AddrInUse));
        match server.resume().await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.info().state, ServerState::Suspended);
        listener.refuse_bind(None);
        server.resume().await?;
        says_it_back(&mut listener.connect()?, b"hello").await;
        Ok::<(), Reason>(())
    });
}
