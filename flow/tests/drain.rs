//! When a flow of one's own is told that its server drains: F11.
#![cfg(feature = "driver")]

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use riot_actor::{Reason, now, send, simulation::Simulation, sleep, spawn, this};
use riot_flow::{Flow, FlowError, FlowServer, Output, ReadOperation, WakerSlot, WriteOperation, WriteResult};
use riot_socket::{DrainReport, Server, ServerHandle, memory::Listener};

const SECOND: Duration = Duration::from_secs(1);

/// Sends every byte back in capitals. Ends as soon as it is told of a drain.
#[derive(Default)]
struct Shout {
    output: Output,
    writer: WakerSlot,
    reader: WakerSlot,
    closing: bool,
    drains_fresh_connections: bool,
}

impl Flow for Shout {
    fn next_read_operation(&mut self) -> ReadOperation {
        if self.closing { ReadOperation::Close } else { ReadOperation::Read }
    }
    fn read(&mut self, bytes: &[u8], _: Instant) -> usize {
        self.output.write(&bytes.to_ascii_uppercase());
        self.writer.wake();
        bytes.len()
    }
    fn read_eof(&mut self, bytes: &[u8], now: Instant) -> usize {
        let consumed = self.read(bytes, now);
        self.shutdown();
        consumed
    }
    fn yield_reader(&mut self, waker: &Waker) {
        self.reader.register(waker);
    }
    fn next_write_operation(&mut self, _: Instant) -> WriteOperation<'_> {
        match (self.output.is_empty(), self.closing) {
            (false, _) => WriteOperation::Write(self.output.slices()),
            (true, false) => WriteOperation::Yield,
            (true, true) => WriteOperation::Close(0),
        }
    }
    fn report_write_result(&mut self, result: WriteResult, _: Instant) {
        self.output.report(result);
    }
    fn yield_writer(&mut self, waker: &Waker) {
        self.writer.register(waker);
    }
    fn report_error(&mut self, _: FlowError) {
        self.shutdown();
    }
    fn shutdown_gracefully(&mut self, deadline: Option<Instant>, _: Instant) {
        assert!(deadline.is_some(), "the deadline of the server is passed on");
        self.shutdown();
    }
    fn drains_fresh_connections(&self) -> bool {
        self.drains_fresh_connections
    }
    fn shutdown(&mut self) {
        self.closing = true;
        self.writer.wake();
        self.reader.wake();
    }
    fn is_closed(&self) -> bool {
        self.closing && self.output.is_empty()
    }
}

async fn start(listener: &Listener, drains_fresh_connections: bool) -> Result<ServerHandle, Reason> {
    let make = move |_: &_| Shout { drains_fresh_connections, ..Shout::default() };
    Ok(Server::listen(listener.clone()).flow(make).start_link().await?)
}

fn stop(server: &ServerHandle) {
    let (server, caller) = (server.clone(), this());
    spawn(async move { send(caller, server.stop(15 * SECOND).await) });
}

async fn report() -> DrainReport {
    riot_actor::receive().await
}

#[test]
fn f11_a_flow_is_told_after_its_first_answer_or_a_second() {
    Simulation::sweep(0..50, || async {
        let listener = Listener::new();
        let server = start(&listener, false).await?;
        let (mut silent, mut late) = (listener.connect()?, listener.connect()?);
        sleep(SECOND).await;
        let begin = now();
        stop(&server);
        sleep(SECOND / 2).await;
        late.write_all(b"late").await?;
        assert_eq!(late.read_to_end(4).await?, b"LATE");
        assert!(now() - begin < SECOND * 6 / 10, "it ends soon after its answer: {:?}", now() - begin);
        assert_eq!(silent.read_to_end(0).await?, b"");
        let report = report().await;
        assert_eq!((report.unused, report.cut.len()), (1, 0));
        assert!((1000..1100).contains(&(now() - begin).as_millis()), "{:?}", now() - begin);
        Ok::<(), Reason>(())
    });
}

#[test]
fn f11_a_flow_that_has_received_bytes_is_told_at_once() {
    Simulation::sweep(0..50, || async {
        let listener = Listener::new();
        let server = start(&listener, false).await?;
        let mut client = listener.connect()?;
        client.write_all(b"early").await?;
        sleep(SECOND).await;
        let begin = now();
        stop(&server);
        assert_eq!(client.read_to_end(5).await?, b"EARLY");
        assert!(now() - begin < SECOND / 20);
        report().await;
        Ok::<(), Reason>(())
    });
}

#[test]
fn f11_a_flow_that_waits_itself_is_told_at_once() {
    Simulation::sweep(0..50, || async {
        let listener = Listener::new();
        let server = start(&listener, true).await?;
        let mut client = listener.connect()?;
        sleep(SECOND).await;
        let begin = now();
        stop(&server);
        assert_eq!(client.read_to_end(0).await?, b"");
        assert!(now() - begin < SECOND / 20);
        report().await;
        Ok::<(), Reason>(())
    });
}
