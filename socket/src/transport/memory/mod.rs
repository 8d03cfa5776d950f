//! Connections in memory, for tests in real time and in simulation.
//!
//! [`pair`] returns the two ends of a connection; a [`Listener`] can be served like a TCP address. A network
//! that splits, delays and breaks is scripted by [`ScriptStep`], or random by [`Faults`].
//!
//! ```
//! use riot_actor::simulation::Simulation;
//! use riot_socket::{Connection, Server, memory::Listener};
//!
//! Simulation::new(1).run(async {
//!     let listener = Listener::new();
//!     let server = Server::listen(listener.clone()).start_link(|mut connection: Connection| async move {
//!         connection.write_all(b"hello").await
//!     }).await?;
//!     let mut client = listener.connect()?;
//!     let mut greeting = [0; 5];
//!     client.read_exact(&mut greeting).await?;
//!     assert_eq!(&greeting, b"hello");
//!     server.stop(std::time::Duration::ZERO).await;
//!     Ok::<(), riot_actor::Reason>(())
//! });
//! ```

mod listener;
mod script;
mod stream;

pub use self::{
    listener::Listener,
    script::{Faults, ScriptStep},
    stream::{Stream, pair},
};
