//! Sending files: Ranch's sendfile suite by name, over every transport.

mod common;

use std::{fs::File, io::Seek, sync::Arc};

use common::{Folder, run};
use riot_actor::spawn;
use riot_socket::{Address, Connection, Options, TcpListener, TcpStream, UnixStream, memory};

/// Returns the two ends of a connection over every transport.
async fn pairs() -> Vec<(&'static str, Connection, Connection)> {
    let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"), &Options::new())
        .expect("the bind succeeds");
    let client = TcpStream::connect(listener.local_addr().expect("the listener is bound"))
        .await
        .expect("the listener is bound");
    let (served, peer) = std::future::poll_fn(|cx| riot_socket::Listen::poll_accept(&listener, cx))
        .await
        .expect("a client connects");
    let client = client.try_into().expect("the client is connected");
    let mut pairs = vec![("tcp", Connection::new(served, peer), client)];
    let (one, other) = UnixStream::pair().expect("two sockets");
    pairs.push(("unix", of(Arc::new(one)), of(Arc::new(other))));
    let (one, other) = memory::pair();
    one.max_transfer(1000);
    pairs.push(("memory", of(one), of(other)));
    #[cfg(feature = "tls")]
    pairs.push(tls().await);
    pairs
}

fn of(transport: Arc<dyn riot_socket::Transport>) -> Connection {
    Connection::new(transport, Address::Memory(1))
}

#[cfg(feature = "tls")]
async fn tls() -> (&'static str, Connection, Connection) {
    use riot_socket::{
        Handshake,
        tls::{Certificate, Roots, Tls, TlsClient},
    };
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("the certificate is generated");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("the PEM is valid");
    let (one, other) = UnixStream::pair().expect("two sockets");
    let mut serving =
        riot_actor::task::Task::spawn(
            async move { Tls::new(certificate).handshake(of(Arc::new(one))).await },
        );
    let client = TlsClient::new(Roots::from_pem(chain.as_bytes()).expect("the PEM is valid"));
    let client = client.connect(of(Arc::new(other)), "localhost").await.expect("they agree");
    ("tls", serving.wait(None).await.expect("the program ends normally").expect("they agree"), client)
}

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Sends a part of a file of `bytes` bytes over every transport, and checks that the range `expected`
/// arrived.
fn check(bytes: usize, offset: u64, length: Option<u64>, expected: std::ops::Range<usize>) {
    let folder = Folder::new();
    let path = folder.path("file");
    std::fs::write(&path, contents(bytes)).expect("there is room");
    run(async move {
        for (kind, mut here, mut there) in pairs().await {
            let expected = contents(bytes)[expected.clone()].to_vec();
            let mut file = File::open(&path)?;
            file.seek(std::io::SeekFrom::Start(3))?;
            let length_expected = expected.len() as u64;
            let mut sender = riot_actor::task::Task::spawn(async move {
                assert_eq!(
                    here.send_file(&file, offset, length).await.expect("the file is sent"),
                    length_expected
                );
                assert_eq!(
                    file.stream_position().expect("the socket has an address"),
                    3,
                    "{kind}: the position is not touched"
                );
                here.write_all(b"and more").await.expect("the write succeeds");
                here.close().await.expect("the write succeeds");
            });
            let received = there.read_to_end(usize::MAX).await?;
            assert!(received == [&expected[..], b"and more"].concat(), "{kind}: {} bytes", received.len());
            sender.wait(None).await.expect("the sender ends");
        }
        Ok(())
    });
}

#[test]
fn filename_and_rawfile_the_whole_of_it() {
    check(5_000_000, 0, None, 0..5_000_000);
}

#[test]
fn bytes_large_more_than_there_is() {
    check(100, 0, Some(1_000_000), 0..100);
}

#[test]
fn bytes_zero_of_an_empty_file_and_none_of_a_full_one() {
    check(0, 0, None, 0..0);
    check(100, 0, Some(0), 0..0);
}

#[test]
fn offset_large_sends_nothing() {
    check(100, 101, None, 0..0);
    check(100, u64::MAX, Some(7), 0..0);
}

#[test]
fn range_small_medium_and_large() {
    check(100_000, 50, Some(1), 50..51);
    check(100_000, 10_000, Some(25_000), 10_000..35_000);
    check(1_000_000, 1, Some(999_998), 1..999_999);
    check(1_000_000, 999_999, Some(5), 999_999..1_000_000);
}

#[test]
fn a_file_the_system_cannot_send_is_copied() {
    if !std::path::Path::new("/proc/self/cmdline").exists() {
        return eprintln!("skipped: there is no /proc here");
    }
    run(async {
        let expected = std::fs::read("/proc/self/cmdline")?;
        for (kind, mut here, mut there) in pairs().await {
            assert_eq!(
                here.send_file(&File::open("/proc/self/cmdline")?, 0, None).await?,
                expected.len() as u64
            );
            here.close().await?;
            assert_eq!(there.read_to_end(100_000).await?, expected, "{kind}");
        }
        Ok(())
    });
}

#[test]
fn a_file_that_shrinks_ends_the_transfer() {
    let folder = Folder::new();
    let path = folder.path("file");
    run(async move {
        for (_, mut here, there) in pairs().await {
            std::fs::write(&path, contents(10_000_000))?;
            let file = File::open(&path)?;
            let (mut reader, _writer) = there.into_split();
            let reading = spawn(async move { reader.read_to_end(usize::MAX).await.map(drop) });
            let down = riot_actor::monitor(reading);
            File::options().write(true).open(&path)?.set_len(1000)?;
            assert_eq!(here.send_file(&file, 0, Some(10_000_000)).await?, 1000);
            here.close().await?;
            assert!(down.down().await.reason.is_clean());
        }
        Ok(())
    });
}
