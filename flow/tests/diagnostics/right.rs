// errors: 0

use riot_actor::prelude::*;
use riot_flow::FlowServer;
use riot_socket::Server;

use std::{task::Waker, time::Instant};

use riot_flow::{Flow, FlowError, ReadOperation, WriteOperation, WriteResult};

struct Silent;

impl Flow for Silent {
    fn next_read_operation(&mut self) -> ReadOperation {
        ReadOperation::Close
    }
    fn read(&mut self, bytes: &[u8], _: Instant) -> usize {
        bytes.len()
    }
    fn read_eof(&mut self, bytes: &[u8], _: Instant) -> usize {
        bytes.len()
    }
    fn yield_reader(&mut self, _: &Waker) {}
    fn next_write_operation(&mut self, _: Instant) -> WriteOperation<'_> {
        WriteOperation::Close(0)
    }
    fn report_write_result(&mut self, _: WriteResult, _: Instant) {}
    fn yield_writer(&mut self, _: &Waker) {}
    fn report_error(&mut self, _: FlowError) {}
    fn shutdown_gracefully(&mut self, _: Option<Instant>, _: Instant) {}
    fn shutdown(&mut self) {}
    fn is_closed(&self) -> bool {
        true
    }
}

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?.flow(|_| Silent).start_link().await?;
        ok()
    });
}
