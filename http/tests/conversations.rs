//! Whole conversations, simulated: several clients at once, random pipelines, cuts, delays, half-closes,
//! resets, and handlers that crash. Every answer is checked: none is lost, doubled, out of order, or
//! another's.
//!
//! A conversation is a function of its seed; a failure names it.
#![cfg(feature = "driver")]

#[path = "common/random.rs"]
mod random;
#[path = "common/responses.rs"]
mod responses;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use random::Random;
use responses::{Reader, Response as Answer};
use riot_actor::{
    Reason, monitor,
    process::{processes, spawn_monitor},
    simulation::Simulation,
    sleep, spawn, this,
};
use riot_http::{
    Reqd, Response, Server,
    http::{HeaderName, HeaderValue},
};
use riot_socket::{Connection, Shutdown, memory::Listener};

const SEEDS: u64 = 400;

/// The number of seeds under `cargo xtask soak`.
const SEEDS_SOAKING: u64 = 10_000;

fn seeds() -> u64 {
    if std::env::var_os("RIOT_SOAK").is_some() { SEEDS_SOAKING } else { SEEDS }
}

/// The kinds of requests, each with the response it has to get.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fixed,
    Head,
    OldFixed,
    Streamed,
    Sized,
    Echo,
    EchoChunked,
    EchoInvited,
    /// Answered before its body was read.
    Early,
    /// Answered after a while.
    Slow,
    /// Not answered by its handler.
    Dropped,
    /// The end, in order.
    Close,
    /// The handler panics before its answer.
    Crash,
    /// The handler panics in the middle of it.
    CrashLate,
    /// Not HTTP.
    Garbage,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Fixed,
        Self::Head,
        Self::OldFixed,
        Self::Streamed,
        Self::Sized,
        Self::Echo,
        Self::EchoChunked,
        Self::EchoInvited,
        Self::Early,
        Self::Slow,
        Self::Dropped,
        Self::Close,
        Self::Crash,
        Self::CrashLate,
        Self::Garbage,
    ];

    /// Nothing is answered behind it.
    fn is_last(self) -> bool {
        matches!(self, Self::Close | Self::Crash | Self::CrashLate | Self::Garbage)
    }

    fn status(self) -> u16 {
        match self {
            Self::Dropped | Self::Crash => 500,
            Self::Garbage => 400,
            _ => 200,
        }
    }
}

/// One request of one client.
#[derive(Clone, Copy, Debug)]
struct Asked {
    client: usize,
    number: usize,
    kind: Kind,
    size: usize,
}

impl Asked {
    /// Bytes that are this request's and no other's.
    fn content(&self) -> Vec<u8> {
        let mark = format!("<{}.{}>", self.client, self.number);
        mark.into_bytes().into_iter().cycle().take(self.size).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { client, number, kind, size } = *self;
        let target = format!("/{kind:?}/{client}/{number}/{size}");
        let content = self.content();
        let mut bytes = match kind {
            Kind::Garbage => return b"GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_vec(),
            Kind::Head => format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            Kind::OldFixed => format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            Kind::Echo | Kind::Early => {
                format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            }
            Kind::EchoInvited => {
                format!(
                    "POST {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                     Content-Length: {size}\r\n\r\n"
                )
            }
            Kind::EchoChunked => {
                format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            }
            _ => format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        }
        .into_bytes();
        match kind {
            Kind::Echo | Kind::Early | Kind::EchoInvited => bytes.extend(content),
            Kind::EchoChunked => {
                for chunk in content.chunks(1 + size / 3) {
                    bytes.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\nX-Behind: it\r\n\r\n");
            }
            _ => {}
        }
        bytes
    }

    fn parse(path: &str) -> Self {
        let mut parts = path.split('/').skip(1);
        let mut part = || parts.next().expect("as it was asked");
        let kind = part();
        let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind).expect("a kind");
        let [client, number, size] = [part(), part(), part()].map(|number| number.parse().expect("a number"));
        Self { client, number, kind, size }
    }

    /// Whether `answer` is this request's own, and whole unless it is to be cut.
    fn check(&self, answer: &Answer) {
        assert!(answer.defects.is_empty(), "{self:?}: {:?}", answer.defects);
        let cut = self.kind == Kind::CrashLate;
        assert_eq!(answer.complete, !cut, "{self:?}: {}", answer.brief());
        assert_eq!(answer.status, self.kind.status(), "{self:?}");
        if answer.status != 200 {
            return;
        }
        let id = format!("{}.{}", self.client, self.number);
        assert_eq!(answer.all("x-id").collect::<Vec<_>>(), [id.as_bytes()], "{self:?} got another's answer");
        match self.kind {
            Kind::Head => assert!(answer.body.is_empty()),
            Kind::CrashLate => assert!(self.content().starts_with(&answer.body), "{self:?}"),
            _ => assert!(answer.body == self.content(), "{self:?}: another body: {}", answer.brief()),
        }
        let invited = self.kind == Kind::EchoInvited;
        assert!(answer.interim.is_empty() || (invited && answer.interim[0].status == 100), "{self:?}");
    }
}

/// The requests that handlers have seen: their numbers, by client.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashMap<usize, Vec<usize>>>>);

impl Seen {
    fn note(&self, asked: &Asked) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = seen.entry(asked.client).or_default();
        assert_eq!(numbers.len(), asked.number, "client {}: after {numbers:?} came {asked:?}", asked.client);
        numbers.push(asked.number);
    }

    /// How many handlers crashed: at least, for one whose client has gone may not have come to it, and at
    /// most.
    fn crashes(&self, plans: &[Plan]) -> (u64, u64) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut least, mut most) = (0, 0);
        for plan in plans {
            let last = plan.asked.len() - 1;
            let began = seen.get(&plan.client).is_some_and(|numbers| numbers.contains(&last));
            if began && matches!(plan.asked[last].kind, Kind::Crash | Kind::CrashLate) {
                most += 1;
                least += u64::from(plan.reset_at.is_none());
            }
        }
        (least, most)
    }
}

async fn handle(mut reqd: Reqd, seen: Seen) {
    let asked = Asked::parse(reqd.request().path());
    seen.note(&asked);
    let id = HeaderValue::try_from(format!("{}.{}", asked.client, asked.number)).expect("digits");
    let response = || Response::ok().header(HeaderName::from_static("x-id"), id.clone());
    let content = Bytes::from(asked.content());
    let answered = match asked.kind {
        Kind::Fixed | Kind::OldFixed | Kind::Early | Kind::Head => {
            reqd.respond_with_bytes(response(), content)
        }
        Kind::Slow => {
            sleep(Duration::from_millis(asked.size as u64 % 2000)).await;
            reqd.respond_with_bytes(response(), content)
        }
        Kind::Close => {
            let close = HeaderValue::from_static("close");
            reqd.respond_with_bytes(response().header(HeaderName::from_static("connection"), close), content)
        }
        Kind::Streamed | Kind::Sized | Kind::CrashLate => {
            let response = match asked.kind {
                Kind::Sized => {
                    response().header(HeaderName::from_static("content-length"), asked.size.into())
                }
                _ => response(),
            };
            let Ok(mut body) = reqd.respond_with_streaming(response) else { return };
            let half = content.len() / 2;
            for piece in [content.slice(..half), content.slice(half..)] {
                if body.write(piece).await.is_err() {
                    return;
                }
                assert_ne!(asked.kind, Kind::CrashLate, "as it was asked");
                sleep(Duration::from_millis(1)).await;
            }
            let _ = body.close();
            return;
        }
        Kind::Echo | Kind::EchoChunked | Kind::EchoInvited => {
            let Ok(first) = reqd.body().chunk().await else { return };
            let mut next = first;
            let (mut request, responder) = reqd.into_parts();
            let Ok(mut body) = responder.respond_with_streaming(response()) else { return };
            while let Some(piece) = next {
                if body.write(piece).await.is_err() {
                    return;
                }
                next = match request.body().chunk().await {
                    Ok(piece) => piece,
                    Err(_) => return,
                };
            }
            let _ = body.close();
            return;
        }
        Kind::Dropped => return,
        Kind::Crash => panic!("as it was asked"),
        Kind::Garbage => unreachable!("it is no request"),
    };
    // It fails only if the client has gone, which is noticed elsewhere.
    let _ = answered;
}

/// The actions of one client.
#[derive(Clone, Debug)]
struct Plan {
    client: usize,
    asked: Vec<Asked>,
    /// Where its bytes are cut, and how long it waits there.
    cuts: Vec<(usize, Duration)>,
    /// The number of bytes after which it resets the connection, if it does.
    reset_at: Option<usize>,
    /// The delay before it reads.
    reads_after: Duration,
    /// Bounds its reads and writes, in bytes.
    piece: usize,
}

impl Plan {
    /// Where every byte travels alone there are not many of them.
    fn new(client: usize, random: &mut Random, tiny: bool) -> Self {
        let piece = [usize::MAX, usize::MAX, 3, 50, 1000][random.below(5)];
        let large = if tiny || piece < 1000 { 2000 } else { 100_000 };
        let mut asked: Vec<Asked> = Vec::new();
        let length = 1 + random.below(14);
        while asked.len() < length && !asked.last().is_some_and(|last| last.kind.is_last()) {
            let mut kind = Kind::ALL[random.below(Kind::ALL.len())];
            if kind.is_last() && random.below(4) > 0 {
                kind = Kind::Fixed;
            }
            let size = match random.below(8) {
                0 => random.below(large),
                1 => 0,
                _ => random.below(600),
            };
            asked.push(Asked { client, number: asked.len(), kind, size });
        }
        let total: usize = asked.iter().map(|asked| asked.bytes().len()).sum();
        let mut cuts: Vec<_> = (0..random.below(6))
            .map(|_| (random.below(total), Duration::from_millis([0, 1, 200, 1000][random.below(4)])))
            .collect();
        cuts.sort_unstable();
        Self {
            client,
            asked,
            cuts,
            reset_at: (random.below(5) == 0).then(|| random.below(total + 1)),
            reads_after: Duration::from_millis([0, 0, 10, 3000][random.below(4)]),
            piece,
        }
    }

    /// Talks, and checks what it hears.
    async fn run(self, listener: Listener) -> io::Result<()> {
        let (stream, address) = listener.connect_stream()?;
        stream.max_transfer(self.piece);
        let mut reading = Connection::new(stream.clone(), address.clone());
        let mut writing = Connection::new(stream.clone(), address);
        let bytes: Vec<u8> = self.asked.iter().flat_map(Asked::bytes).collect();
        let (cuts, reset_at) = (self.cuts.clone(), self.reset_at);
        // Written by another process: a pipeline can be longer than all buffers on its way.
        let writer = spawn(async move {
            let mut from = 0;
            let ends = cuts.into_iter().chain([(bytes.len(), Duration::ZERO)]);
            for (to, pause) in ends {
                let to = to.min(reset_at.unwrap_or(to));
                if writing.write_all(&bytes[from.min(to)..to]).await.is_err() {
                    return;
                }
                from = to;
                sleep(pause).await;
            }
            if reset_at.is_some() {
                return stream.reset();
            }
            let _ = writing.shutdown(Shutdown::Write);
        });
        sleep(self.reads_after).await;
        let heads = self.asked.iter().filter(|asked| asked.kind == Kind::Head).map(|asked| asked.number);
        let mut reader = Reader::new(heads.collect::<BTreeSet<_>>());
        let mut buffer = vec![0; 4096];
        let lost = loop {
            match reading.read(&mut buffer).await {
                Ok(0) => break false,
                Ok(read) => reader.feed(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break true,
                Err(error) => return Err(error),
            }
        };
        reader.end();
        monitor(writer).down().await;
        assert_eq!(lost, lost && self.reset_at.is_some(), "nobody but the client resets");
        self.check(&reader);
        Ok(())
    }

    fn check(&self, reader: &Reader) {
        let heard = &reader.finals;
        assert!(heard.len() <= self.asked.len(), "{} answers to {:?}", heard.len(), self.asked);
        if self.reset_at.is_none() {
            let statuses: Vec<_> = heard.iter().map(Answer::brief).collect();
            assert_eq!(heard.len(), self.asked.len(), "{statuses:?} to {:?}", self.asked);
        }
        for (number, (asked, answer)) in self.asked.iter().zip(heard).enumerate() {
            let cut_by_us = self.reset_at.is_some() && number + 1 == heard.len() && !answer.complete;
            if !cut_by_us && !self.is_cut_short(asked, answer) {
                asked.check(answer);
            }
        }
    }

    /// A client that has gone away half-way through a request hears that it was none, or nothing.
    fn is_cut_short(&self, asked: &Asked, answer: &Answer) -> bool {
        self.reset_at.is_some() && asked.kind.status() != answer.status && answer.status == 400
    }
}

async fn converse(seed: u64) -> Result<(), Reason> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let listener = Listener::new();
    let cut = [None, None, Some(1), Some(50), Some(4096)][random.below(5)];
    if let Some(bytes) = cut {
        listener.max_transfer(bytes);
    }
    let tiny = cut.is_some_and(|bytes| bytes < 1000);
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |reqd: Reqd| handle(reqd, seen.clone())
    };
    let server = Server::listen(listener.clone()).acceptors(2).handler(handler).start_link().await?;
    let at_rest = processes().len();
    let plans: Vec<_> = (0..1 + random.below(6)).map(|client| Plan::new(client, &mut random, tiny)).collect();
    let clients: Vec<_> =
        plans.iter().map(|plan| spawn_monitor(plan.clone().run(listener.clone()))).collect();
    for ((_, client), plan) in clients.into_iter().zip(&plans) {
        let reason = client.down().await.reason;
        assert!(reason.is_clean(), "{reason}\n{plan:#?}");
    }
    // Nothing is left behind: no process, no place in the server.
    let (least, most) = seen.crashes(&plans);
    for _ in 0..100_000 {
        let info = server.info();
        if info.active == 0 && processes().len() == at_rest && info.ended.crashed >= least {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((server.info().active, processes().len()), (0, at_rest), "{}", riot_actor::process::tree());
    let crashed = server.info().ended.crashed;
    assert!((least..=most).contains(&crashed), "{crashed} crashed, asked for were {least} to {most}");
    server.stop(Duration::ZERO).await;
    assert!(processes().contains(&this()));
    Ok(())
}

#[test]
fn every_answer_is_whole_in_order_and_its_own() {
    for seed in 0..seeds() {
        let reason = Simulation::new(seed).run(converse(seed));
        assert!(reason.is_clean(), "seed {seed}: {reason}");
    }
}

/// Repeats one conversation under many schedules.
#[test]
fn the_handler_and_the_loops_run_in_any_order() {
    for seed in 0..seeds() / 2 {
        let reason = Simulation::new(seed).run(converse(7));
        assert!(reason.is_clean(), "seed {seed}: {reason}");
    }
}
