//! The costs of driving a flow, with a flow that sends back what it reads: `cargo bench -p riot-flow`.
//!
//! | bench | one operation is |
//! |---|---|
//! | echo/by_hand | 64 bytes in and out of the machine, no process and no transport |
//! | echo/driven | the same through Connector, Reader and Writer, over a connection in memory, on one worker |
//! | output/16_chunks | 16 chunks of 100 bytes written and sent, three of them at a time |

use std::{
    io,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_main};
use riot_actor::{Reason, runtime::Config};
use riot_flow::{
    Flow, FlowError, FlowServer, ManualDriver, Output, ReadOperation, WakerSlot, WriteOperation, WriteResult,
};
use riot_socket::{Server, memory::Listener};

const PIECE: [u8; 64] = [b'x'; 64];

/// Sends back what it reads.
#[derive(Default)]
struct Echo {
    output: Output,
    writer: WakerSlot,
    over: bool,
}

impl Flow for Echo {
    fn next_read_operation(&mut self) -> ReadOperation {
        if self.over { ReadOperation::Close } else { ReadOperation::Read }
    }

    fn read(&mut self, bytes: &[u8], _: Instant) -> usize {
        self.output.write(bytes);
        self.writer.wake_waiting();
        bytes.len()
    }

    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.over = true;
        self.read(bytes, now)
    }

    fn yield_reader(&mut self, _: &Waker) {}

    fn next_write_operation(&mut self, _: Instant) -> WriteOperation<'_> {
        match (self.output.is_empty(), self.over) {
            (true, true) => WriteOperation::Close(0),
            (true, false) => WriteOperation::Yield,
            (false, _) => WriteOperation::Write(self.output.slices()),
        }
    }

    fn report_write_result(&mut self, result: WriteResult, _: Instant) {
        self.over |= matches!(result, WriteResult::Closed);
        self.output.report(result);
    }

    fn yield_writer(&mut self, waker: &Waker) {
        self.writer.register(waker);
    }

    fn report_error(&mut self, _: FlowError) {
        self.over = true;
    }

    fn shutdown_gracefully(&mut self, _: Option<Instant>, _: Instant) {
        self.shutdown();
    }

    fn shutdown(&mut self) {
        self.over = true;
        self.writer.wake_waiting();
    }

    fn is_closed(&self) -> bool {
        self.over && self.output.is_empty()
    }
}

fn by_hand(c: &mut Criterion) {
    let mut hand = ManualDriver::new(Echo::default());
    c.bench_function("echo/by_hand", |b| {
        b.iter(|| {
            hand.push(&PIECE);
            assert_eq!(hand.collect(), PIECE);
        });
    });
}

async fn round_trips(times: u64) -> io::Result<Duration> {
    let listener = Listener::new();
    let server = Server::listen(listener.clone()).flow(|_| Echo::default());
    let server = server.start_link().await.map_err(io::Error::other)?;
    let mut client = listener.connect()?;
    let mut back = [0; PIECE.len()];
    let start = Instant::now();
    for _ in 0..times {
        client.write_all(&PIECE).await?;
        client.read_exact(&mut back).await?;
    }
    assert_eq!(back, PIECE);
    let time = start.elapsed();
    server.stop(Duration::ZERO).await;
    Ok(time)
}

fn driven(c: &mut Criterion) {
    c.bench_function("echo/driven", |b| {
        b.iter_custom(|times| {
            let (tell, told) = std::sync::mpsc::channel();
            let reason = Config::new().workers(1).run(async move {
                tell.send(round_trips(times).await?).expect("the bench waits");
                Ok::<(), Reason>(())
            });
            assert!(matches!(reason, Ok(Reason::Normal)), "{reason:?}");
            told.recv().expect("it was sent")
        });
    });
}

fn output(c: &mut Criterion) {
    let chunk = Bytes::from_static(&[b'x'; 100]);
    c.bench_function("output/16_chunks", |b| {
        b.iter(|| {
            let mut output = Output::new();
            for _ in 0..16 {
                output.write_bytes(chunk.clone());
            }
            while !output.is_empty() {
                output.advance(output.pending().min(300));
            }
            assert_eq!(output.end_position(), 1_600);
        });
    });
}

fn all() {
    let mut criterion = Criterion::default().configure_from_args();
    by_hand(&mut criterion);
    driven(&mut criterion);
    output(&mut criterion);
}
criterion_main!(all);
