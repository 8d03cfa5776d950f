//! The wait that a process of a socket shows of itself.
#![cfg(unix)]

mod common;

use std::{io::Read, net::TcpStream, time::Duration};

use common::run;
use riot_actor::{
    Pid, Reason,
    process::{IoOperation, WaitingFor, info, yield_now},
    receive,
    runtime::blocking,
    send, this,
};
use riot_socket::{Connection, Server};

/// Waits until a process waits for a socket.
async fn io_of(pid: Pid) -> IoOperation {
    loop {
        if let Some(WaitingFor::Io { operation, .. }) = info(pid).expect("it lives").waiting_for {
            return operation;
        }
        yield_now().await;
    }
}

#[test]
fn ob02_a_read_and_a_write_that_would_block_are_told_apart() {
    run(async {
        let test = this();
        let serve = move |mut connection: Connection| async move {
            send(test, this());
            let mut byte = [0];
            connection.read(&mut byte).await?;
            // More than the buffers of the system hold.
            connection.write_all(&vec![byte[0]; 64 << 20]).await
        };
        let server = Server::bind("127.0.0.1:0")?.start_link(serve).await.expect("the server starts");
        let address = server.local_addr();
        let mut client = blocking(move || TcpStream::connect(address)).await?;
        let connector: Pid = receive().await;
        assert_eq!(io_of(connector).await, IoOperation::Read);
        let mut client = blocking(move || {
            std::io::Write::write_all(&mut client, b"x").expect("it is sent");
            client
        })
        .await;
        while io_of(connector).await == IoOperation::Read {
            yield_now().await;
        }
        assert_eq!(io_of(connector).await, IoOperation::Write);
        let read = blocking(move || std::io::copy(&mut client.by_ref(), &mut std::io::sink())).await?;
        assert_eq!(read, 64 << 20);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}
