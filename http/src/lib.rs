//! HTTP/1.1 for servers, as a flow: strict where smuggling lives, bounded everywhere, and free of I/O.
//!
//! A [`Http1`] is told bytes and instants and says what to send; its [`Requests`] are answered by a handler. Who
//! moves the bytes is another's business: processes, threads, or a test that holds both ends.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use riot_flow::{Flow, WriteOperation};
//! use riot_http::{HttpConfig, Http1, Response};
//!
//! let (mut connection, mut requests) = Http1::new(Arc::new(HttpConfig::new()));
//! connection.read(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Instant::now());
//!
//! let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! let std::task::Poll::Ready(Some(mut reqd)) = requests.poll_next(&mut context) else { panic!("a request") };
//! assert_eq!(reqd.request().path(), "/");
//! reqd.respond_with_string(Response::ok(), "Hello, World!")?;
//!
//! let WriteOperation::Write(slices) = connection.next_write_operation(Instant::now()) else { panic!("an answer") };
//! assert!(slices.to_vec().ends_with(b"\r\n\r\nHello, World!"));
//! # Ok::<(), riot_http::RespondError>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `driver` (default) | `Server`: a supervised tree with a process for every client |
//! | `tower` | `Server::tower`: any tower service as a handler, such as an axum `Router` |
//! | `json` | `Response::json` and `Body::json`, with serde |
//!
//! # What a handler may count on
//!
//! - Requests of one connection come one after the other; answers leave in that order. Exactly one answer each: who
//!   gives none is answered with 500, and so is who panics, whose connection then ends.
//! - A handler whose client has gone is dropped where it awaits (`Server::cancel_handlers` says otherwise).
//! - Whatever clients do, memory is bounded by [`Limits`] and time by [`Timeouts`]. All are on from the start.
//! - What frames a message is the library's alone: no handler can make a response that is read as two.
#![forbid(unsafe_code)]

#[doc = include_str!("../COSTS.md")]
pub mod costs {}

#[doc = include_str!("../CONTRACT.md")]
pub mod contract {}

mod body;
mod chunked;
mod connection;
mod date;
mod encode;
mod error;
mod events;
mod file;
mod framing;
mod head;
mod headers;
mod known;
mod limits;
mod parse;
mod request;
mod response;
#[cfg(feature = "driver")]
mod server;
mod service;
mod spare;
mod timeouts;
#[cfg(feature = "tower")]
mod tower;

pub use body::{Body, BodyWriter, Flushed};
pub use connection::{Closed, Http1, HttpConfig, Reqd, Requests, Responder, Upgrade, Upgraded};
#[cfg(feature = "json")]
pub use error::JsonError;
pub use error::{BodyError, InvalidHeader, RequestError, RespondError, UpgradeError, WriteError};
pub use events::{Event, EventWriter};
pub use file::safe_path;
pub use head::Head;
pub use headers::{Headers, Iter};
pub use limits::Limits;
pub use request::Request;
pub use response::{IntoResponse, Response};
pub use riot_flow::FilePart;
#[cfg(feature = "driver")]
pub use riot_socket::{ServerHandle, ServerStartError};
#[cfg(feature = "driver")]
pub use server::{Server, Serving, start_link};
pub use service::{Handler, HandlerOutput, Service, ServiceHandler, serve_requests, service};
pub use timeouts::Timeouts;
#[cfg(feature = "tower")]
pub use tower::{OnUpgrade, TowerHandler};

pub use http;
