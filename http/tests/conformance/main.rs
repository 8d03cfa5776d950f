//! The conformance cases against the whole server, on real sockets and with every limit and timer as it
//! comes.
//!
//! The cases are data: what is sent, what may come back, and which rule says so. A case that failed beside
//! the others is played once more alone and with more patience, for a busy machine can be late; a server that
//! is wrong is wrong again.
#![cfg(feature = "driver")]

mod exchange;
mod judge;
mod programs;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/responses.rs"]
mod responses;
#[path = "../../examples/routes/mod.rs"]
mod routes;
mod wire;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use exchange::{Patience, play};
use riot_actor::{Reason, runtime::Config};
use riot_http::{Request, Server};
use serde_json::Value;

/// Cases played at once: most of their time they wait.
const AT_ONCE: usize = 32;

/// How much more patient the second attempt is.
const PATIENT: Patience = Patience(8);

/// A request sent byte by byte is tried up to this size.
const DRIBBLED_BYTES_MAX: usize = 1600;

pub(crate) const LEVELS: [&str; 3] = ["must", "should", "robust"];

/// One server for all tests. It ends with the program.
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (started, address) = mpsc::channel();
        thread::spawn(move || {
            let serving = Config::new().workers(2).run(async move {
                let server = Server::bind("127.0.0.1:0")?
                    .service(|request: Request| routes::routes(request, riot_actor::sleep))
                    .start_link()
                    .await?;
                let _ = started.send(server.local_addr());
                std::future::pending::<Result<(), Reason>>().await
            });
            panic!("the server ended: {serving:?}");
        });
        address.recv_timeout(Duration::from_secs(60)).expect("it starts")
    })
}

/// The cases of all families, as they are in the files.
fn cases() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are there")
        .map(|file| file.expect("it can be listed").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let mut family: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        match family["cases"].take() {
            Value::Array(more) => cases.extend(more),
            _ => panic!("{} has no cases", file.display()),
        }
    }
    cases
}

/// Plays all cases, a few at a time, and says how many checks of each level were met. Panics if some were
/// not.
fn check_all(cases: &[Value], dribble: bool) -> BTreeMap<&'static str, usize> {
    let address = server();
    let (next, failed, met) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    let judge = |case: &Value, patience: Patience, level: &str| -> Result<(), String> {
        if let Some(program) = case["program"].as_str() {
            return programs::run(program, address, patience, &case["params"]);
        }
        play(address, patience, case, level, dribble)
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for level in LEVELS {
                        if case[level].is_null() && case["level"] != level {
                            continue;
                        }
                        match judge(case, Patience(1), level) {
                            Ok(()) => *met.lock().unwrap().entry(level).or_insert(0) += 1,
                            Err(why) => failed.lock().unwrap().push((case, level, why)),
                        }
                    }
                }
            });
        }
    });
    let (mut met, failed) = (met.into_inner().unwrap(), failed.into_inner().unwrap());
    let mut wrong = Vec::new();
    for (case, level, first) in failed {
        match judge(case, PATIENT, level) {
            Ok(()) => {
                eprintln!("{} ({level}) was late once: {first}", case["id"]);
                *met.entry(level).or_insert(0) += 1;
            }
            Err(why) => wrong.push(format!("{level} {} [{}]: {why}", case["id"], case["ref"])),
        }
    }
    assert!(wrong.is_empty(), "{} checks failed:\n{}", wrong.len(), wrong.join("\n"));
    met
}

#[test]
fn every_case_with_steps() {
    let cases: Vec<_> = cases().into_iter().filter(|case| case["program"].is_null()).collect();
    let met = check_all(&cases, false);
    assert_eq!((met["must"], met["should"], met["robust"]), (350, 261, 23));
}

#[test]
fn every_valid_case_one_byte_at_a_time() {
    let is_small = |case: &Value| {
        let steps = case["steps"].as_array().into_iter().flatten();
        let sent: usize =
            steps.filter(|step| step[0] == "send").map(|step| judge::data(&step[1]).len()).sum();
        sent <= DRIBBLED_BYTES_MAX
    };
    let mut cases: Vec<_> = cases()
        .into_iter()
        .filter(|case| case["valid"] == true && !case["must"].is_null() && is_small(case))
        .collect();
    for case in &mut cases {
        case["should"] = Value::Null;
        case["robust"] = Value::Null;
    }
    assert_eq!(check_all(&cases, true)["must"], cases.len());
}

#[test]
fn every_case_with_a_program() {
    let all: Vec<_> = cases().into_iter().filter(|case| !case["program"].is_null()).collect();
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|case| programs::is_here(case["program"].as_str().unwrap_or_default()));
    for case in &elsewhere {
        let program = case["program"].as_str().unwrap_or_default();
        assert!(programs::ELSEWHERE.iter().any(|(name, _)| *name == program), "nobody runs {program}");
    }
    let met = check_all(&here, false);
    assert_eq!(met.values().sum::<usize>(), here.len());
}

/// A judge has to be able to say no.
#[test]
fn a_wrong_answer_does_not_pass() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("it binds");
    let address = listener.local_addr().expect("it is bound");
    let answers: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World?",
        b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\nHello, World!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello, World!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nd\r\nHello, World!\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 13\r\n\r\nHello, World!",
        b"HTTP/1.1 200 OK\r\ncontent-length : 13\r\n\r\nHello, World!",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 13\r\n\r\nHello, World!",
        b"",
    ];
    thread::spawn(move || {
        for answer in answers {
            let (mut client, _) = listener.accept().expect("it connects");
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(answer);
        }
    });
    let case = serde_json::json!({
        "steps": [["send", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"]],
        "must": [{"r": [{"s": "200", "body": "Hello, World!"}], "end": "close"}],
    });
    let verdicts: Vec<_> =
        answers.iter().map(|_| play(address, Patience(1), &case, "must", false).is_ok()).collect();
    assert_eq!(verdicts.iter().position(|&passed| passed), Some(0), "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|&&passed| passed).count(), 1, "{verdicts:?}");
}
