//! The protocol without the runtime: every connection on three plain threads of the system, two for its
//! directions and one for its handler.
//!
//! ```text
//! cargo run -p riot-http --no-default-features --example blocking_threads -- --addr 127.0.0.1:8080
//! ```

use std::{
    net::{TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use riot_flow::{Flow, FlowError, blocking};
use riot_http::{Http1, HttpConfig, Request, Requests, serve_requests, service};

mod routes;

const STACK_BYTES: usize = 256 * 1024;

fn main() -> std::io::Result<()> {
    let addr = std::env::args().skip_while(|arg| arg != "--addr").nth(1);
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("listening on {}", listener.local_addr()?);
    let config = Arc::new(HttpConfig::new());
    for stream in listener.incoming() {
        let config = config.clone();
        let started = stream.and_then(|stream| {
            thread::Builder::new().stack_size(STACK_BYTES).spawn(move || serve(stream, config))
        });
        if let Err(error) = started {
            eprintln!("a connection could not be served: {error}");
        }
    }
    Ok(())
}

fn serve(stream: TcpStream, config: Arc<HttpConfig>) {
    let (connection, requests) = Http1::new(config);
    let connection = Arc::new(Mutex::new(connection));
    let driven = connection.clone();
    let driver =
        thread::Builder::new().stack_size(STACK_BYTES).spawn(move || blocking::serve(driven, stream));
    let handled = catch_unwind(AssertUnwindSafe(|| handle(requests)));
    if handled.is_err() {
        let error = FlowError::Application("the handler panicked".into());
        connection.lock().unwrap_or_else(PoisonError::into_inner).report_error(error);
    }
    match driver.map(|driver| driver.join()) {
        Ok(Ok(Ok(_))) => {}
        other => eprintln!("a connection ended badly: {other:?}"),
    }
}

/// Runs the handlers on this thread until the connection brings no more, or the peer is gone.
fn handle(requests: Requests) {
    let handler = service(|request: Request| {
        routes::routes(request, |time: Duration| async move { thread::sleep(time) })
    });
    let mut closed = pin!(requests.closed());
    let mut serving = pin!(serve_requests(requests, &handler));
    block_on(|context| match closed.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => Pin::as_mut(&mut serving).poll(context),
    });
}

fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
