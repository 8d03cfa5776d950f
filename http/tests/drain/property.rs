//! A drain at a random instant, among clients of all kinds.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Instant,
};

use riot_actor::{Reason, monitor, now, runtime::random, simulation::Simulation, sleep, spawn, timeout};
use riot_http::{Reqd, Server};
use riot_socket::{
    Address, Connection,
    memory::{Faults, Listener},
};

use super::*;

/// The requests of one client, and its end.
#[derive(Default)]
struct Seen {
    /// Requests that were sent to their last byte, before the client had seen an end.
    sent: u64,
    answered: u64,
    closed_at: Option<Instant>,
}

type Counts = Arc<Mutex<HashMap<String, u32>>>;

/// Sends requests in one of five ways, one after the other, until the connection ends.
async fn converse(mut client: Connection, number: u64, seen: Arc<Mutex<Seen>>) -> io::Result<()> {
    let mut count = 0;
    let way = random() % 5;
    let goes_on = |heard: &str| !heard.contains("\r\nconnection: close\r\n");
    loop {
        let pause = random() as u32 % if way == 0 { 2_000 } else { 700 };
        // While it pauses a client looks for the end.
        if let Ok(read) = timeout(pause * MS, client.read(&mut [0; 1])).await {
            assert_eq!(read.unwrap_or(0), 0, "no response without a request");
            return Ok(());
        }
        let pipelined = if way == 3 { 3 } else { 1 };
        for place in 0..pipelined {
            let millis = if way == 4 { random() % 3_000 } else { random() % 20 };
            let request = format!("GET /{millis}/{number}/{} HTTP/1.1\r\nHost: a\r\n\r\n", count + place);
            if way == 2 {
                let (first, second) = request.split_at(random() as usize % request.len());
                client.write_all(first.as_bytes()).await?;
                sleep(random() as u32 % 900 * MS).await;
                client.write_all(second.as_bytes()).await?;
            } else {
                client.write_all(request.as_bytes()).await?;
            }
            seen.lock().expect("no panic").sent += 1;
        }
        for place in 0..pipelined {
            let heard = first_response(&mut client).await;
            // The last word of a connection that is cut is 503.
            if let Ok(heard) = &heard
                && !heard.starts_with("HTTP/1.1 503 ")
            {
                assert!(heard.ends_with(&format!("/{number}/{}", count + place)), "in order: {heard}");
                seen.lock().expect("no panic").answered += 1;
            }
            if !heard.is_ok_and(|heard| goes_on(&heard)) {
                return Ok(());
            }
        }
        count += pipelined;
    }
}

/// The network between the clients of the property and their server.
#[derive(Clone)]
enum Network {
    Plain,
    /// With delays and short transfers.
    Slow,
    #[cfg(feature = "tls")]
    Tls(riot_socket::tls::Tls, riot_socket::tls::TlsClient),
}

impl Network {
    #[cfg(feature = "tls")]
    fn tls() -> Self {
        use riot_socket::tls::{Certificate, Roots, Tls, TlsClient};
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("it is one");
        let roots = Roots::from_pem(chain.as_bytes()).expect("it is one");
        Self::Tls(Tls::new(certificate), TlsClient::new(roots))
    }

    /// Prepares the side of the server.
    fn serve(&self, listener: &Listener) -> Server {
        let server = Server::listen(listener.clone());
        match self {
            Self::Plain => server,
            Self::Slow => {
                listener.faults(Faults::new(random()).short(200).delay(50, 300 * MS));
                server
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls, _) => server.tls(tls.clone()),
        }
    }

    /// Prepares the side of a client.
    async fn connect(&self, client: Connection) -> io::Result<Connection> {
        match self {
            Self::Plain | Self::Slow => Ok(client),
            #[cfg(feature = "tls")]
            Self::Tls(_, tls) => tls.connect(client, "localhost").await,
        }
    }
}

/// One drain at a random instant, with clients of all kinds.
async fn drain_among_clients(network: Network) -> Result<(), Reason> {
    let listener = Listener::new();
    let handled = Counts::default();
    let counted = handled.clone();
    let server = network
        .serve(&listener)
        .handler(move |reqd: Reqd| {
            *counted.lock().expect("no panic").entry(reqd.request().path().to_owned()).or_default() += 1;
            answer(reqd)
        })
        .start_link()
        .await?;
    let clients: Vec<_> = (0..12)
        .map(|number| {
            let (listener, seen) = (listener.clone(), Arc::new(Mutex::new(Seen::default())));
            let mine = seen.clone();
            let address = Arc::new(Mutex::new(None));
            let told = address.clone();
            let network = network.clone();
            let pid = spawn(async move {
                sleep(random() as u32 % 3_000 * MS).await;
                if let Ok((stream, peer)) = listener.connect_stream() {
                    *told.lock().expect("no panic") = Some(peer);
                    let client = Connection::new(stream, Address::Memory(0));
                    if let Ok(client) = network.connect(client).await {
                        let _ = converse(client, number, mine.clone()).await;
                    }
                    mine.lock().expect("no panic").closed_at = Some(now());
                }
            });
            (monitor(pid), address, seen)
        })
        .collect();
    sleep(random() as u32 % 3_000 * MS).await;
    let time = if random().is_multiple_of(2) { 15 * SECOND } else { random() as u32 % 2_000 * MS };
    let begin = now();
    let report = server.stop(time).await;
    let end = now();
    assert!(end - begin <= time + 100 * MS, "{:?} of {time:?}", end - begin);
    let mut excused = report.crossed;
    for (down, address, seen) in clients {
        let reason = down.down().await.reason;
        assert_eq!(reason, Reason::Normal);
        let seen = seen.lock().expect("no panic");
        assert!(
            // The last word of a connection that is cut may take a second.
            seen.closed_at.is_none_or(|at| at <= end + 1_100 * MS),
            "every connection has ended: {:?} after the stop of {time:?}, {report}",
            seen.closed_at.map(|at| at - end)
        );
        if seen.answered < seen.sent {
            let peer = address.lock().expect("no panic").clone();
            let cut = report.cut.iter().any(|cut| Some(&cut.peer) == peer.as_ref());
            if !cut {
                assert!(excused > 0, "{} of {} requests were answered: {report}", seen.answered, seen.sent);
                excused -= 1;
            }
        }
    }
    let handled = handled.lock().expect("no panic");
    assert!(handled.values().all(|&times| times == 1), "nothing is handled twice: {handled:?}");
    Ok(())
}

#[test]
fn dr04_no_request_is_lost_without_a_word() {
    // `RIOT_SOAK=1` tries ten thousand.
    let seeds = if std::env::var_os("RIOT_SOAK").is_some() { 10_000 } else { 400 };
    Simulation::sweep(0..seeds, || drain_among_clients(Network::Plain));
    Simulation::sweep(0..seeds / 4, || drain_among_clients(Network::Slow));
}

#[cfg(feature = "tls")]
#[test]
fn dr04_no_request_over_tls_is_lost_without_a_word() {
    let seeds = if std::env::var_os("RIOT_SOAK").is_some() { 1_000 } else { 20 };
    let network = Network::tls();
    Simulation::sweep(0..seeds, move || drain_among_clients(network.clone()));
}
