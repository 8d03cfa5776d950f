//! Runs the fuzz targets on their corpus, and on mutations of it that a seed chooses.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own there")]
mod targets;

use std::path::Path;

/// Mutations of each file of the corpus.
const MUTATIONS: u64 = 400;

/// Fragments of syntax; mutations put them where they do not belong.
const PIECES: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"0\r\n\r\n",
    b"\xff",
];

fn check(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = file.expect("it can be listed").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        files += 1;
        target(&bytes);
        for seed in 0..MUTATIONS {
            let mutated = mutate(&bytes, seed);
            if let Err(panic) = std::panic::catch_unwind(|| target(&mutated)) {
                eprintln!("{}, seed {seed}: {:?}", path.display(), String::from_utf8_lossy(&mutated));
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(files > 0, "a corpus has files");
}

fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut below = move |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + below(4) {
        let at = below(bytes.len() + 1);
        let to = (at + 1 + below(20)).min(bytes.len());
        match below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            1 if at < to => drop(bytes.drain(at..to)),
            2 if at < to => {
                let again = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, PIECES[below(PIECES.len())].iter().copied())),
        }
    }
    bytes
}

#[test]
fn heads() {
    check("head", targets::head);
}

#[test]
fn chunked_bodies() {
    check("chunked", targets::chunked);
}

#[test]
fn connections() {
    check("connection", targets::connection);
}
