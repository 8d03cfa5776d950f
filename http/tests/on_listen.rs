//! A handler is told where its server listens, and can refuse to be reached there.
#![cfg(feature = "driver")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use riot_actor::{Reason, process::processes, simulation::Simulation};
use riot_http::{Handler, HandlerError, Reqd, Response, Server, ServerStartError};
use riot_socket::{Address, memory::Listener};

/// Counts the addresses it is told, and refuses them from some number on.
struct Counting {
    told: Arc<AtomicUsize>,
    refuses_from: usize,
}

impl Handler for Counting {
    async fn handle(&self, reqd: Reqd) -> Result<(), HandlerError> {
        reqd.respond_with_string(Response::ok(), "hello")?;
        Ok(())
    }

    fn on_listen(&self, address: &Address) -> io::Result<()> {
        assert_eq!(*address, Address::Memory(0));
        let before = self.told.fetch_add(1, SeqCst);
        if before < self.refuses_from { Ok(()) } else { Err(io::Error::other("not here")) }
    }
}

#[test]
fn a_handler_is_told_every_address_and_a_hook_of_the_program_as_well() {
    Simulation::sweep(0..20, || async {
        let (told, hooked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (listener, counted) = (Listener::new(), hooked.clone());
        let server = Server::listen(listener.clone())
            .socket(move |socket| {
                socket.on_listen(move |_| {
                    counted.fetch_add(1, SeqCst);
                    Ok(())
                })
            })
            .handler(Counting { told: told.clone(), refuses_from: 2 })
            .start_link()
            .await?;
        assert_eq!((told.load(SeqCst), hooked.load(SeqCst)), (1, 1));
        server.suspend().await;
        server.resume().await?;
        assert_eq!((told.load(SeqCst), hooked.load(SeqCst)), (2, 2));
        server.suspend().await;
        assert!(server.resume().await.is_err(), "it refuses the third time");
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_server_whose_handler_refuses_its_address_does_not_start() {
    Simulation::sweep(0..20, || async {
        let before = processes().len();
        let handler = Counting { told: Arc::default(), refuses_from: 0 };
        let started = Server::listen(Listener::new()).handler(handler).start_link().await;
        match started {
            Err(ServerStartError::Bind(error)) => assert_eq!(error.to_string(), "not here"),
            other => panic!("{other:?}"),
        }
        assert_eq!(processes().len(), before);
        Ok::<(), Reason>(())
    });
}
