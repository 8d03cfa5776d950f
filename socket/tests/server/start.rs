//! Start and the place of a server in a tree: B1, B5, B17.

use super::*;

#[test]
fn b01_start_link_returns_once_every_acceptor_is_there() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        started(&listener, Server::listen(listener.clone()).acceptors(7)).await;
        assert_eq!(tree().labelled("Acceptor.Worker").len(), 7);
    });
}

#[test]
fn b01_a_bind_error_is_the_result_and_nothing_is_left_behind() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        listener.refuse_bind(Some(io::ErrorKind::AddrInUse));
        let before = processes().len();
        match Server::listen(listener.clone()).start_link(echo).await {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
        assert_eq!(processes().len(), before, "{}", tree());
    });
}

#[test]
fn b05_the_connection_is_the_connectors_before_it_begins() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let watcher = this();
        Server::listen(listener.clone())
            .start_link(move |connection: Connection| async move {
                send(watcher, (this(), connection.peer().clone()));
                pending::<()>().await;
            })
            .await?;
        let _client = listener.connect()?;
        let (connector, _) = receive::<(Pid, riot_socket::Address)>().await;
        assert_eq!(tree().labelled("Connector"), [connector], "the protocol runs in the Connector");
        Ok::<(), Reason>(())
    });
}

#[test]
fn b17_several_servers_live_in_one_runtime() {
    Simulation::sweep(SEEDS, || async {
        let listeners = [Listener::new(), Listener::new()];
        for listener in &listeners {
            Server::listen(listener.clone()).start_link(echo).await?;
        }
        for listener in &listeners {
            says_it_back(&mut listener.connect()?, b"hello").await;
        }
        Ok::<(), Reason>(())
    });
}

#[test]
fn b17_a_server_is_a_child_like_any_other() {
    Simulation::sweep(SEEDS, || async {
        let listener = Listener::new();
        let spec = Server::listen(listener.clone()).child_spec("echo", echo);
        // A killed Server.Sup does not stop its children; the next one waits until the address is free.
        let supervisor = riot_supervisor::Supervisor::one_for_one()
            .intensity(1, Duration::from_secs(5))
            .child(spec)
            .start_link()
            .await?;
        says_it_back(&mut listener.connect()?, b"hello").await;
        kill(tree().labelled("Server.Sup")[0]).await;
        settle().await;
        says_it_back(&mut listener.connect()?, b"again").await;
        // The supervisor is linked to this process, so it must end with `Normal`.
        supervisor.stop(Reason::Normal).await.expect("the supervisor stops");
        assert_eq!(processes(), [this()], "{}", tree());
        Ok::<(), Reason>(())
    });
}
