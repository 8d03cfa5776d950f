//! Cases that take more than one scripted connection.

use std::{collections::BTreeSet, net::SocketAddr, thread::sleep, time::Duration};

use serde_json::{Value, json};

use super::{
    exchange::{PROBE, Patience},
    judge::{check, data, number},
    random::Random,
    wire::{Client, Response, request},
};

/// Programs that are not run here, and which of our tests does what they do.
pub(crate) const ELSEWHERE: [(&str, &str); 7] = [
    ("fuzz", "cut_anywhere.rs, any_order.rs, the targets of fuzz/, and mutations in conversations.rs"),
    ("noise", "the same"),
    ("closes_within", "timers.rs, with exact figures under a simulated clock"),
    ("slow_reader", "large_bodies.rs: memory is counted there"),
    ("slow_reader_finish", "large_bodies.rs"),
    ("upload_unread", "large_bodies.rs"),
    ("idle_conns", "large_bodies.rs"),
];

pub(crate) fn is_here(program: &str) -> bool {
    !ELSEWHERE.iter().any(|(name, _)| *name == program)
}

type Verdict = Result<(), String>;

struct Run<'a> {
    address: SocketAddr,
    patience: Patience,
    params: &'a Value,
}

pub(crate) fn run(program: &str, address: SocketAddr, patience: Patience, params: &Value) -> Verdict {
    let run = Run { address, patience, params };
    match program {
        "split_all" => run.split_all(),
        "pieces" => run.pieces(),
        "sequential" => run.sequential(),
        "pipeline" => run.pipeline(),
        "abort" => run.abort(),
        "panic" => run.panic(),
        "panic_isolation" => run.panic_isolation(),
        "slow_does_not_block" => run.slow_does_not_block(),
        "big_echo" => run.big_echo(),
        "big_get" => run.big_get(),
        "early_reply" => run.early_reply(),
        "churn" => run.churn(),
        "cross_talk" => run.cross_talk(),
        unknown => panic!("nobody runs {unknown:?}"),
    }
}

impl Run<'_> {
    fn connect(&self, heads: BTreeSet<usize>) -> Result<Client, String> {
        Client::connect(self.address, heads).map_err(|error| format!("cannot connect: {error}"))
    }

    fn number(&self, name: &str) -> usize {
        number(&self.params[name])
    }

    fn wanted(&self) -> &[Value] {
        self.params["want"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The server serves.
    fn greets(&self) -> Verdict {
        let mut client = self.connect(BTreeSet::new())?;
        client.send(&request("GET", "/", "", b""));
        self.expect(&mut client, 0, &[json!({"s": "200", "body": "Hello, World!"})])
    }

    /// Behind `before` responses come these.
    fn expect(&self, client: &mut Client, before: usize, wanted: &[Value]) -> Verdict {
        client.wait_finals(before + wanted.len(), self.patience.response() * 2);
        let got = client.reader.finals.get(before..).unwrap_or_default();
        if got.len() != wanted.len() {
            let closed = if client.closed { ", closed" } else { "" };
            return Err(format!("{} of {} responses{closed}", got.len(), wanted.len()));
        }
        for (number, (want, response)) in wanted.iter().zip(got).enumerate() {
            check(want, response).map_err(|why| format!("response {}: {why}", number + 1))?;
            sound(response)?;
        }
        Ok(())
    }

    /// Cut in two anywhere, it gets the same answer.
    fn split_all(&self) -> Verdict {
        let bytes = data(&self.params["request"]);
        let (mut kept, mut before) = (None, 0);
        for cut in 1..bytes.len() {
            let mut client = match kept.take() {
                Some(client) => client,
                None => {
                    before = 0;
                    self.connect(BTreeSet::new())?
                }
            };
            client.send(&bytes[..cut]);
            sleep(Duration::from_millis(1));
            client.send(&bytes[cut..]);
            self.expect(&mut client, before, self.wanted()).map_err(|why| format!("cut at {cut}: {why}"))?;
            before += self.wanted().len();
            if self.params["end"] == "close" && !client.wait_closed(self.patience.close()) {
                return Err(format!("cut at {cut}: not closed"));
            }
            if self.params["reconnect"] != true && !client.closed {
                kept = Some(client);
            }
        }
        Ok(())
    }

    fn pieces(&self) -> Verdict {
        let mut client = self.connect(BTreeSet::new())?;
        for piece in self.params["parts"].as_array().into_iter().flatten() {
            client.send(&data(piece));
            sleep(Duration::from_millis(self.number("gap_ms").max(30) as u64));
        }
        self.expect(&mut client, 0, self.wanted())
    }

    fn sequential(&self) -> Verdict {
        let mut client = self.connect(BTreeSet::new())?;
        let mut before = 0;
        for _ in 0..self.number("n") {
            for pair in self.params["requests"].as_array().into_iter().flatten() {
                let bytes = data(&pair[0]);
                if bytes.starts_with(b"HEAD ") {
                    client.reader.heads.insert(before);
                }
                client.send(&bytes);
                self.expect(&mut client, before, std::slice::from_ref(&pair[1]))?;
                before += 1;
            }
        }
        Ok(())
    }

    fn pipeline(&self) -> Verdict {
        let kinds = self.params["kinds"].as_array().map_or(&[][..], Vec::as_slice);
        let mut random = Random(self.number("seed") as u64 + 1);
        let (mut bytes, mut wanted, mut heads) = (Vec::new(), Vec::new(), BTreeSet::new());
        for number in 0..self.number("depth") {
            let size = 1 + random.below(900);
            let get = |path: String| request("GET", &path, "", b"");
            let (more, want) = match kinds[number % kinds.len()].as_str().unwrap_or_default() {
                "get" => (get(format!("/bytes/{size}")), json!({"s": "200", "len": size})),
                "chunked" => {
                    let count = 1 + size % 7;
                    (get(format!("/chunked/{count}/{size}")), json!({"s": "200", "len": count * size}))
                }
                "head" => {
                    heads.insert(number);
                    let want = json!({"s": "200", "len": 0, "cl_if_any": size});
                    (request("HEAD", &format!("/bytes/{size}"), "", b""), want)
                }
                "missing" => (get(format!("/nothing/{size}")), json!({"s": "404"})),
                "slow" => (get(format!("/slow/{}", 20 + size % 60)), json!({"s": "200"})),
                kind @ ("post" | "postchunked") => {
                    let body: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
                    let text: String = body.iter().map(|&byte| char::from(byte)).collect();
                    let fields = if kind == "post" { "" } else { "Transfer-Encoding: chunked\r\n" };
                    (request("POST", "/echo", fields, &body), json!({"s": "200", "body": text}))
                }
                unknown => panic!("nobody pipelines {unknown:?}"),
            };
            bytes.extend(more);
            wanted.push(want);
        }
        let mut client = self.connect(heads)?;
        let cut = self.number("cut");
        if cut == 0 {
            client.send(&bytes);
        } else {
            for piece in bytes.chunks(cut) {
                client.send(piece);
            }
        }
        self.expect(&mut client, 0, &wanted)
    }

    fn abort(&self) -> Verdict {
        let bytes = data(&self.params["payload"]);
        for _ in 0..self.number("count") {
            let mut client = self.connect(BTreeSet::new())?;
            client.send(&bytes);
            let read = self.number("read");
            client.read_until(Duration::from_millis(500), |client| client.received >= read);
            if self.params["how"] == "rst" {
                client.reset();
            }
        }
        self.greets()
    }

    fn panic(&self) -> Verdict {
        for _ in 0..self.number("count") {
            let mut client = self.connect(BTreeSet::new())?;
            client.send(&request("GET", "/panic", "", b""));
            client.wait_finals(1, self.patience.response());
            match client.reader.finals.first() {
                Some(response) if response.status == 500 => sound(response)?,
                Some(response) => return Err(format!("a panic was answered with {}", response.brief())),
                None if client.closed => {}
                None => return Err("neither an answer nor a close".into()),
            }
            if !client.closed {
                client.send(PROBE);
                client.read_until(self.patience.close(), |client| client.reader.finals.len() > 1);
                let in_step = client.reader.finals.get(1).is_none_or(Response::is_probes);
                if !in_step || (client.reader.finals.len() < 2 && !client.closed) {
                    return Err("neither closed nor in step after a panic".into());
                }
            }
        }
        self.greets()
    }

    fn panic_isolation(&self) -> Verdict {
        let slow = self.number("slow_ms");
        let mut bystanders = Vec::new();
        for number in 0..self.number("bystanders") {
            let mut client = self.connect(BTreeSet::new())?;
            let body = format!("b{number}").repeat(50);
            let post = request("POST", "/echo", "", body.as_bytes());
            let (first, rest, want) = if number % 2 == 1 {
                (request("GET", &format!("/slow/{slow}"), "", b""), Vec::new(), json!({"s": "200"}))
            } else {
                let (first, rest) = post.split_at(post.len() - 20);
                (first.to_vec(), rest.to_vec(), json!({"s": "200", "body": body}))
            };
            client.send(&first);
            bystanders.push((client, rest, want));
        }
        for _ in 0..self.number("panics") {
            let mut client = self.connect(BTreeSet::new())?;
            client.send(&request("GET", "/panic", "", b""));
            client.wait_finals(1, self.patience.response());
        }
        for (client, rest, _) in &mut bystanders {
            client.send(rest);
        }
        for (mut client, _, want) in bystanders {
            self.expect(&mut client, 0, &[want])?;
        }
        self.greets()
    }

    fn slow_does_not_block(&self) -> Verdict {
        let slow = request("GET", &format!("/slow/{}", self.number("slow_ms")), "", b"");
        let mut sleepers = Vec::new();
        for _ in 0..self.number("n") {
            let mut client = self.connect(BTreeSet::new())?;
            client.send(&slow);
            sleepers.push(client);
        }
        for _ in 0..20 {
            self.greets()?;
        }
        for mut client in sleepers {
            self.expect(&mut client, 0, &[json!({"s": "200"})])?;
        }
        Ok(())
    }

    fn big_echo(&self) -> Verdict {
        let size = self.number("size");
        for number in 0..self.number("clients").max(1) {
            let mut random = Random((self.number("seed") + number) as u64);
            let body: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
            let mut client = self.connect(BTreeSet::new())?;
            if self.params["mode"] == "cl" {
                client.send(&request("POST", "/echo", "", &body));
            } else {
                let mut left = &body[..];
                let mut wire =
                    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                while !left.is_empty() {
                    let (chunk, rest) =
                        left.split_at(left.len().min(1 + random.below(2 * self.number("piece"))));
                    wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    wire.extend(chunk);
                    wire.extend(b"\r\n");
                    left = rest;
                }
                wire.extend(b"0\r\n\r\n");
                client.send(&wire);
            }
            client.wait_finals(1, self.patience.response() * 6);
            let response = client.reader.finals.first().ok_or("no answer")?;
            sound(response)?;
            if response.status != 200 || !response.complete || response.body != body {
                return Err(format!("another body came back: {}", response.brief()));
            }
        }
        Ok(())
    }

    fn big_get(&self) -> Verdict {
        let mut client = self.connect(BTreeSet::new())?;
        client.send(&request("GET", self.params["path"].as_str().unwrap_or_default(), "", b""));
        client.wait_finals(1, self.patience.response() * 6);
        let want = json!({"s": "200", "len": self.params["size"], "framing": self.params["framing"]});
        self.expect(&mut client, 0, &[want])?;
        let is_whole = client.reader.finals[0].body.iter().all(|&byte| byte == b'x');
        if is_whole { Ok(()) } else { Err("content other than x".into()) }
    }

    /// A body that no handler wants is not taken for requests, and the response can be read.
    fn early_reply(&self) -> Verdict {
        let mut client = self.connect(BTreeSet::new())?;
        let size = self.number("size");
        let path = self.params["path"].as_str().unwrap_or_default();
        client.send(
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n").as_bytes(),
        );
        let body = b"GET /bytes/13 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(size / 43 + 1);
        client.send(&body[..size]);
        client.wait_finals(1, self.patience.response());
        let status = client.reader.finals.first().ok_or("no answer could be read")?.status;
        if status < 400 {
            return Err(format!("status {status}"));
        }
        if !client.closed {
            client.send(PROBE);
            client.read_until(self.patience.close(), |client| client.reader.finals.len() > 1);
        }
        client.reader.finals.iter().try_for_each(sound)?;
        match &client.reader.finals[1..] {
            [] => Ok(()),
            [one] if one.is_probes() => Ok(()),
            more => Err(format!("{} more responses: the body was taken for requests", more.len())),
        }
    }

    fn churn(&self) -> Verdict {
        let close = request("GET", "/", "Connection: close\r\n", b"");
        for number in 0..self.number("n") {
            let mut client = self.connect(BTreeSet::new())?;
            if self.params["mode"] == "silent" {
                if number % 2 == 0 {
                    client.reset();
                }
                continue;
            }
            client.send(&close);
            self.expect(&mut client, 0, &[json!({"s": "200", "body": "Hello, World!"})])?;
            if !client.wait_closed(self.patience.close()) {
                return Err("not closed".into());
            }
        }
        self.greets()
    }

    /// No client ever sees what is another's.
    fn cross_talk(&self) -> Verdict {
        let client = |number: usize| -> Verdict {
            let mut random = Random(number as u64 + 1);
            let mut client = self.connect(BTreeSet::new())?;
            for round in 0..25 {
                let body = format!("client {number} round {round} ").repeat(1 + random.below(40));
                let fields = ["", "Transfer-Encoding: chunked\r\n"][random.below(2)];
                let bytes = request("POST", "/echo", fields, body.as_bytes());
                let (first, rest) = bytes.split_at(1 + random.below(bytes.len() - 1));
                client.send(first);
                client.send(rest);
                self.expect(&mut client, round, &[json!({"s": "200", "body": body})])?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let client = &client;
            let clients: Vec<_> = (0..24).map(|number| scope.spawn(move || client(number))).collect();
            clients.into_iter().try_for_each(|client| client.join().expect("it does not panic"))
        })
    }
}

fn sound(response: &Response) -> Verdict {
    if response.defects.is_empty() {
        Ok(())
    } else {
        Err(format!("malformed: {}", response.defects.join("; ")))
    }
}
