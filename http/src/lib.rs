//! HTTP/1.1 for servers, as a flow: strict where smuggling lives, bounded everywhere, and free of I/O.
//!
//! An [`Http1`] is given bytes and instants and says what to send; a handler answers its [`Requests`]. A
//! driver moves the bytes: the processes of [`Server`], two threads, or a test that holds both ends.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use riot_http::{Http1, HttpConfig, Response, flow::{Flow, WriteOperation}};
//!
//! let (mut connection, mut requests) = Http1::new(Arc::new(HttpConfig::new()));
//! connection.read(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Instant::now());
//!
//! let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! let std::task::Poll::Ready(Some(reqd)) = requests.poll_next(&mut cx) else { panic!("a request") };
//! assert_eq!(reqd.request().path(), "/");
//! reqd.respond_with_string(Response::ok(), "Hello, World!")?;
//!
//! let next = connection.next_write_operation(Instant::now());
//! let WriteOperation::Write(slices) = next else { panic!("a response") };
//! assert!(slices.to_vec().ends_with(b"\r\n\r\nHello, World!"));
//! # Ok::<(), riot_http::RespondError>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `driver` (default) | `Server`: a supervised tree with a process for every client; re-exports of the crates below |
//! | `files` (with `driver`) | `Response::file`: files with ranges and conditions, which are opened and read |
//! | `tls` | `Server::tls` |
//! | `tower` | `Server::tower`: any tower service as a handler, such as an axum `Router` |
//! | `tokio` | `Server::tokio`: handlers run inside a tokio runtime, for libraries that need one |
//! | `axum` | `Server::axum`: an axum `Router` with tokio and `ConnectInfo` |
//! | `hyper-upgrade` | `AxumServing::upgrade_by_hyper`: axum's own `WebSocketUpgrade`, and `hyper::upgrade::on` |
//! | `signals` | SIGINT and SIGTERM end a server in order |
//! | `json` | `Response::json` and `Body::json`, with serde |
//!
//! With `signals`, SIGINT and SIGTERM end a program and its servers in order
//! (`actor::runtime::Config::stop_on_signals`), or are waited for by the program itself
//! (`socket::signals::Signals`).
//!
//! # What a handler can rely on
//!
//! - Requests of one connection are handled one after the other, and responses are sent in that order. Every
//!   request gets exactly one response. If a handler gives none or panics, the client receives a 500, or an
//!   aborted response if its head was already sent; after a panic the connection ends.
//! - A handler whose client has disconnected is dropped where it awaits, unless `Server::keep_handlers` was
//!   called.
//! - Whatever clients do, memory is bounded by [`Limits`] and time by [`Timeouts`]. All are on by
//!   default, except those of the handler's time, the connection's age, the body's size and the number of
//!   requests.
//! - The library alone frames a message: no handler can make a response that is read as two.
//!
//! # Glossary
//!
//! **Head**: the request or status line and the fields of a message. **Exchange**: a request and its
//! response. **Pipelining**: requests sent before the responses to earlier ones; they wait in a queue.
//! **Framing**: how a message says where its body ends. **Keep-alive**: the connection goes on after an
//! exchange. **Upgrade**: the connection goes on in another protocol. **Informational response**: a status
//! `1xx`, sent before the final response. **Flow**, **driver**, **leftover** and the rest are explained in
//! [`flow`].
//!
//! The rules that connections follow, with their sources and tests, are in [`contract`]; prices are in
//! [`costs`].
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

#[cfg(feature = "axum")]
#[doc = include_str!("../TOKIO.md")]
pub mod tokio_libraries {}

mod config;
mod contain;
mod error;
mod exchange;
mod h1;
mod limits;
mod message;
mod observe;
mod server;
mod timeouts;
mod wakers;

pub mod prelude {
    //! The items that most programs use, to be imported together, also with the preludes of the other crates.
    //!
    //! ```
    //! # #[cfg(feature = "driver")]
    //! # {
    //! use riot_http::{actor::prelude::*, prelude::*};
    //!
    //! # let reason =
    //! run(async {
    //!     let server = Server::bind("127.0.0.1:0")?
    //!         .service(|request| async move { Response::text(request.target().to_owned()) })
    //!         .start_link()
    //!         .await?;
    //!     server.stop(std::time::Duration::ZERO).await;
    //!     ok()
    //! });
    //! # assert_eq!(reason, Reason::Normal);
    //! # }
    //! ```

    pub use http::{Method, StatusCode};
    #[cfg(feature = "driver")]
    pub use riot_actor::runtime::Config;
    #[cfg(feature = "driver")]
    pub use riot_socket::{Connection, ServerHandle, ServerStartError};

    #[cfg(feature = "driver")]
    pub use crate::Server;
    pub use crate::{
        Body, Event, Handler, HandlerError, Headers, HttpConfig, IntoResponse, Limits, Reqd, Request,
        Responded, Response, Scheme, Service, Timeouts, Upgrade, service,
    };
}

pub use config::{HttpConfig, Scheme};
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{
    BodyError, HandlerError, InvalidHeader, RequestError, RespondError, UpgradeError, WriteError,
};
pub use exchange::{
    Body, BodyWriter, Closed, DrainSignal, Event, EventWriter, Flushed, IntoResponse, Reqd, Request,
    Requests, Responded, Responder, Response, Upgrade, Upgraded,
};
#[cfg(feature = "files")]
pub use exchange::{FileError, Folder, safe_path};
pub use h1::Http1;
pub use limits::Limits;
pub use message::{Head, Headers, Iter};
pub use observe::{CutReason, Route};
#[cfg(feature = "driver")]
pub use riot_actor as actor;
pub use riot_flow as flow;
pub use riot_flow::FilePart;
#[cfg(feature = "driver")]
pub use riot_socket as socket;
#[cfg(feature = "driver")]
pub use riot_socket::{ServerHandle, ServerStartError};
#[cfg(feature = "driver")]
pub use riot_supervisor as supervisor;
#[doc(hidden)]
pub use server::{AsyncOutput, ServiceFunction};
#[cfg(feature = "axum")]
pub use server::{AxumService, AxumServing};
#[cfg(feature = "driver")]
pub use server::{
    DURATION_BOUNDS, Histogram, HttpStats, RequestSeries, SIZE_BOUNDS, Server, Serving, start_link, stats,
    telemetry,
};
pub use server::{Handler, HandlerOutput, Service, ServiceHandler, serve_requests, service};
#[cfg(feature = "tower")]
pub use server::{OnUpgrade, TowerHandler, TowerService};
pub use timeouts::Timeouts;

pub use http;
