//! A client of a server that greets.

use std::io;

use riot_socket::Connection;

/// One request and its answer, on a connection that is kept.
pub(crate) async fn ask(client: &mut Connection) -> io::Result<()> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nHello, World!") {
        let mut buffer = [0; 1024];
        match client.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(())
}
