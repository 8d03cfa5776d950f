//! The protocol inside another runtime: every connection is one task of tokio, and its handler another.
//!
//! ```text
//! cargo run -p riot-http --no-default-features --example inside_tokio -- --addr 127.0.0.1:8080
//! ```

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use riot_flow::{Flow, FlowError, ReadOperation, WriteOperation, WriteResult};
use riot_http::{Http1, HttpConfig, Request, Requests, serve_requests, service};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep, sleep_until},
};

mod routes;

fn main() -> io::Result<()> {
    let addr = std::env::args().skip_while(|arg| arg != "--addr").nth(1);
    tokio::runtime::Runtime::new()?.block_on(async move {
        let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080")).await?;
        println!("listening on {}", listener.local_addr()?);
        let config = Arc::new(HttpConfig::new());
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, config.clone()))),
                Err(error) => eprintln!("a connection could not be accepted: {error}"),
            }
        }
    })
}

async fn serve(stream: TcpStream, config: Arc<HttpConfig>) {
    let _ = stream.set_nodelay(true);
    let (connection, requests) = Http1::new(config);
    let flow = Arc::new(Mutex::new(connection));
    let handler = tokio::spawn(handle(requests));
    let failing = flow.clone();
    let handling = async move {
        if handler.await.is_err() {
            lock(&failing).report_error(FlowError::Application("the handler panicked".into()));
        }
    };
    let mut handling = pin!(handling);
    let mut handled = false;
    let mut driver = Driver { flow, stream, rest: Vec::new(), again: false, ended: false, sleep: None };
    poll_fn(|context| {
        // One task for all: whatever wakes it, everything is asked again.
        handled = handled || handling.as_mut().poll(context).is_ready();
        driver.poll(context)
    })
    .await;
}

/// Runs the handlers until the connection brings no more, or the peer is gone.
async fn handle(requests: Requests) {
    let handler = service(|request: Request| routes::routes(request, sleep));
    let mut closed = pin!(requests.closed());
    let mut serving = pin!(serve_requests(requests, &handler));
    poll_fn(|context| match closed.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => serving.as_mut().poll(context),
    })
    .await;
}

struct Driver {
    flow: Arc<Mutex<Http1>>,
    stream: TcpStream,
    /// Received and not consumed.
    rest: Vec<u8>,
    /// The flow has yielded since it saw the rest.
    again: bool,
    /// The peer sends no more.
    ended: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    /// Ready when both directions have ended; the stream closes with this.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let reading = self.poll_read(context);
            let writing = self.poll_write(context);
            if reading.is_ready() && writing.is_ready() && lock(&self.flow).is_closed() {
                return Poll::Ready(());
            }
            // A deadline that has passed changes what the others want.
            if self.poll_deadline(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut flow = lock(&self.flow);
            match flow.next_read_operation() {
                ReadOperation::Close => return Poll::Ready(()),
                ReadOperation::Yield => {
                    flow.yield_reader(context.waker());
                    self.again = true;
                    return Poll::Pending;
                }
                ReadOperation::Read => drop(flow),
            }
            if !(std::mem::take(&mut self.again) && (self.ended || !self.rest.is_empty())) {
                if self.ended {
                    return Poll::Ready(());
                }
                let mut buffer = [0; 16 * 1024];
                let received = loop {
                    match self.stream.try_read(&mut buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if let Err(error) = ready!(self.stream.poll_read_ready(context)) {
                                break Err(error);
                            }
                        }
                        result => break result,
                    }
                };
                match received {
                    Ok(received) => {
                        self.ended = received == 0;
                        self.rest.extend_from_slice(&buffer[..received]);
                    }
                    Err(error) => {
                        lock(&self.flow).report_error(FlowError::Transport(error));
                        self.ended = true;
                        continue;
                    }
                }
            }
            let (mut flow, now) = (lock(&self.flow), Instant::now());
            let consumed =
                if self.ended { flow.read_eof(&self.rest, now) } else { flow.read(&self.rest, now) };
            drop(flow);
            self.rest.drain(..consumed);
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let (mut flow, now) = (lock(&self.flow), Instant::now());
            let sent = match flow.next_write_operation(now) {
                WriteOperation::Write(slices) => {
                    slices.with_io_slices(|slices| self.stream.try_write_vectored(slices))
                }
                WriteOperation::File(part) => {
                    let mut bytes = vec![0; part.length().min(64 * 1024)];
                    part.read(&mut bytes).and_then(|read| self.stream.try_write(&bytes[..read]))
                }
                WriteOperation::Yield => {
                    flow.yield_writer(context.waker());
                    return Poll::Pending;
                }
                WriteOperation::Close(_) => {
                    // Only what is sent ends: the peer may have to be heard out.
                    drop(flow);
                    let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
                    return Poll::Ready(());
                }
            };
            match sent {
                Ok(sent) => flow.report_write_result(WriteResult::Written(sent), now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    flow.report_write_result(WriteResult::Written(0), now);
                    drop(flow);
                    if ready!(self.stream.poll_write_ready(context)).is_err() {
                        lock(&self.flow).report_error(FlowError::Transport(io::ErrorKind::BrokenPipe.into()));
                    }
                }
                Err(_) => flow.report_write_result(WriteResult::Closed, now),
            }
        }
    }

    /// Ready when a deadline was told.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut flow = lock(&self.flow);
        let deadline = flow.next_deadline();
        flow.watch_deadline(context.waker(), deadline);
        let Some(deadline) = deadline else { return Poll::Pending };
        drop(flow);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if sleep.deadline() != deadline.into() {
            sleep.as_mut().reset(deadline.into());
        }
        ready!(sleep.as_mut().poll(context));
        self.sleep = None;
        lock(&self.flow).handle_deadline(Instant::now());
        Poll::Ready(())
    }
}

fn lock(flow: &Mutex<Http1>) -> MutexGuard<'_, Http1> {
    flow.lock().unwrap_or_else(PoisonError::into_inner)
}
