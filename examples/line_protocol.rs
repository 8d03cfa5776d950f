//! A second flow, which shows that the server is not tied to HTTP: a calculator that answers each line with
//! one line.
//!
//! `cargo run --release --example line_protocol`, then `printf '1 2 3\n40 2\nquit\n' | nc 127.0.0.1 7008`.

use std::{io, task::Waker, time::Duration, time::Instant};

use riot_actor::{Reason, run};
use riot_flow::{Flow, FlowError, FlowServer, Output, ReadOperation, WakerSlot, WriteOperation, WriteResult};
use riot_socket::{Server, signals::Signals};

/// Bounds a line, in bytes; a longer one is an error.
const MAX_LINE_BYTES: usize = 1024;

/// Adds the numbers of each line. `quit`, a line without end, or the end of input closes the connection.
#[derive(Default)]
struct Sums {
    output: Output,
    closed: bool,
    writer: WakerSlot,
    reader: WakerSlot,
}

impl Sums {
    fn answer(&mut self, line: &str) {
        match line.split_whitespace().map(|word| word.parse::<i32>().map(i64::from)).sum::<Result<i64, _>>() {
            _ if line.trim() == "quit" => self.shutdown(),
            Ok(sum) => self.output.write(format!("{sum}\n").as_bytes()),
            Err(error) => self.output.write(format!("error: {error}\n").as_bytes()),
        }
        self.writer.wake();
    }
}

impl Flow for Sums {
    fn next_read_operation(&mut self) -> ReadOperation {
        if self.closed { ReadOperation::Close } else { ReadOperation::Read }
    }
    fn read(&mut self, bytes: &[u8], _now: Instant) -> usize {
        let mut consumed = 0;
        while let Some(end) =
            bytes[consumed..].iter().position(|&byte| byte == b'\n').filter(|_| !self.closed)
        {
            self.answer(&String::from_utf8_lossy(&bytes[consumed..consumed + end]));
            consumed += end + 1;
        }
        if bytes.len() - consumed > MAX_LINE_BYTES {
            self.output.write(b"error: this line is too long\n");
            self.shutdown();
        }
        consumed
    }
    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.read(bytes, now);
        self.shutdown();
        bytes.len()
    }
    fn yield_reader(&mut self, waker: &Waker) {
        self.reader.register(waker);
    }
    fn next_write_operation(&mut self, _now: Instant) -> WriteOperation<'_> {
        self.writer.settle();
        match (self.output.is_empty(), self.closed) {
            (false, _) => WriteOperation::Write(self.output.slices()),
            (true, true) => WriteOperation::Close(0),
            (true, false) => WriteOperation::Yield,
        }
    }
    fn report_write_result(&mut self, result: WriteResult, _now: Instant) {
        self.output.report(result);
        self.closed |= result == WriteResult::Closed;
    }
    fn yield_writer(&mut self, waker: &Waker) {
        self.writer.register(waker);
    }
    fn report_error(&mut self, _error: FlowError) {
        self.shutdown();
    }
    fn shutdown_gracefully(&mut self, _deadline: Option<Instant>, _now: Instant) {
        self.shutdown();
    }
    fn shutdown(&mut self) {
        self.closed = true;
        self.writer.wake();
        self.reader.wake();
    }
    fn is_closed(&self) -> bool {
        self.closed && self.output.is_empty()
    }
}

fn main() -> Reason {
    run(async {
        riot_actor::log::start(io::stderr())?;
        let mut signals = Signals::new()?;
        let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7008".into());
        let server = Server::bind(address)?.flow(|_peer| Sums::default()).start_link().await?;
        println!("adding up on {}", server.local_addr());
        tracing::info!("{} came", signals.next().await?);
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    })
}
