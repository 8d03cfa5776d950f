//! Errors of accept: B7.

use super::*;

/// Returns the error of accept(2) without descriptors, which a simulation cannot exhaust.
fn no_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

#[test]
fn b07_an_acceptor_outlives_the_errors_of_single_connections() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(1).start_link(echo).await?;
        let acceptors = tree().labelled("Acceptor.Worker");
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::ECONNRESET] {
            listener.fail_accept(io::Error::from_raw_os_error(code));
        }
        let mut client = listener.connect()?;
        says_it_back(&mut client, b"hello").await;
        assert_eq!(tree().labelled("Acceptor.Worker"), acceptors);
        assert_eq!(server.info().accept_errors.total(), 3);
        Ok::<(), Reason>(())
    });
}

#[test]
fn b07_out_of_descriptors_it_pauses_and_serves_again_by_itself() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone()).acceptors(1).start_link(echo).await?;
        let acceptors = tree().labelled("Acceptor.Worker");
        listener.fail_accept(io::Error::from_raw_os_error(libc::EMFILE));
        let mut client = listener.connect()?;
        let start = now();
        says_it_back(&mut client, b"hello").await;
        let waited = now() - start;
        assert!((Duration::from_millis(100)..Duration::from_millis(200)).contains(&waited), "{waited:?}");
        assert_eq!((tree().labelled("Acceptor.Worker"), server.info().accept_errors.total()), (acceptors, 1));
        Ok::<(), Reason>(())
    });
}

#[test]
fn b07_out_of_descriptors_clients_that_are_not_to_wait_are_sent_away() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let server = Server::listen(listener.clone())
            .acceptors(1)
            .overflow(ConnectionOverflow::Answer("full\n".into()))
            .start_link(echo)
            .await?;
        listener.fail_accept(no_descriptors());
        for mut client in connect(&listener, 5) {
            let mut answer = [0; 5];
            client.read_exact(&mut answer).await?;
            assert_eq!((&answer, client.read(&mut [0]).await?), (b"full\n", 0));
        }
        assert_eq!((server.info().refused, server.info().accept_errors.exhausted), (5, 1));
        says_it_back(&mut listener.connect()?, b"hello").await;
        Ok::<(), Reason>(())
    });
}
