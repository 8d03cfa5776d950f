//! Responses with files: whole, in parts, under conditions, and of files that change meanwhile.
#![cfg(feature = "files")]

mod common;

use std::path::{Path, PathBuf};

use common::{Served, config};
use riot_http::{Response, Service};

/// Returns what a service answers to these bytes.
fn answer(service: impl Service, bytes: &str) -> String {
    Served::new(config(), riot_http::service(service)).talk(bytes)
}

/// A file of its own for each test.
fn file(name: &str, contents: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("it can be written");
    path
}

fn get(path: &Path, method: &str, fields: &str) -> String {
    let path = path.to_path_buf();
    let service = move |request: riot_http::Request| {
        let response = Response::file(request.head(), &path);
        async move { response.unwrap_or_else(|_| Response::not_found()) }
    };
    answer(service, &format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn field(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

#[test]
fn a_file_whole_in_part_and_not_at_all() {
    let path = file("letters.css", "abcdefghij");
    let whole = get(&path, "GET", "");
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\nabcdefghij"), "{whole}");
    assert_eq!(field(&whole, "content-type"), "text/css; charset=utf-8");
    assert_eq!(field(&whole, "content-length"), "10");
    assert_eq!(field(&whole, "accept-ranges"), "bytes");

    let head = get(&path, "HEAD", "");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(field(&head, "content-length"), "10");

    let part = get(&path, "GET", "Range: bytes=2-4\r\n");
    assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\n") && part.ends_with("\r\n\r\ncde"), "{part}");
    assert_eq!(field(&part, "content-range"), "bytes 2-4/10");
    assert_eq!(field(&part, "content-length"), "3");

    let none = get(&path, "GET", "Range: bytes=10-\r\n");
    assert!(none.starts_with("HTTP/1.1 416 "), "{none}");
    assert_eq!(field(&none, "content-range"), "bytes */10");

    let (tag, date) = (field(&whole, "etag"), field(&whole, "last-modified"));
    for condition in [format!("If-None-Match: {tag}\r\n"), format!("If-Modified-Since: {date}\r\n")] {
        let same = get(&path, "GET", &condition);
        assert!(same.starts_with("HTTP/1.1 304 Not Modified\r\n") && same.ends_with("\r\n\r\n"), "{same}");
        assert_eq!(field(&same, "etag"), tag);
        assert!(!same.contains("content-length"), "{same}");
    }
    assert!(get(&path, "GET", "If-Match: \"other\"\r\n").starts_with("HTTP/1.1 412 "));
}

#[test]
fn a_large_file_is_read_piece_by_piece() {
    let contents: String = (0..40_000).map(|number| format!("{number:06} ")).collect();
    let path = file("large.txt", &contents);
    let whole = get(&path, "GET", "");
    assert!(whole.ends_with(&contents) && field(&whole, "content-length") == contents.len().to_string());
    let end = get(&path, "GET", "Range: bytes=-150000\r\n");
    assert!(end.ends_with(&contents[contents.len() - 150_000..]));
}

#[test]
fn several_parts_of_a_file_come_in_one_answer() {
    let path = file("parts.css", "abcdefghij");
    let answer = get(&path, "GET", "Range: bytes=0-1, -3\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{answer}");
    assert!(!head.contains("content-range"), "that is said of each part");
    let boundary =
        field(&answer, "content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    assert_eq!(field(&answer, "content-length"), body.len().to_string());
    let part = |range: &str, bytes: &str| {
        let fields = format!("Content-Type: text/css; charset=utf-8\r\nContent-Range: bytes {range}/10");
        format!("\r\n--{boundary}\r\n{fields}\r\n\r\n{bytes}")
    };
    assert_eq!(body, part("0-1", "ab") + &part("7-9", "hij") + &format!("\r\n--{boundary}--\r\n"));
    let contents: String = (0..40_000).map(|number| format!("{number:06} ")).collect();
    let large = get(&file("large_parts.txt", &contents), "GET", "Range: bytes=0-99999,140000-279999\r\n");
    assert!(large.contains(&contents[..100_000]) && large.contains(&contents[140_000..]));
}

#[test]
fn a_large_file_is_named_only_to_head_and_not_at_all_where_nothing_has_changed() {
    let path = file("large_to_head.txt", &"x".repeat(1_000_000));
    let head = get(&path, "HEAD", "");
    assert!(head.ends_with("\r\n\r\n") && field(&head, "content-length") == "1000000", "{head}");
    let same = get(&path, "GET", &format!("If-None-Match: {}\r\n", field(&head, "etag")));
    assert!(same.starts_with("HTTP/1.1 304 ") && same.ends_with("\r\n\r\n"), "{same}");
}

#[test]
fn a_file_that_becomes_shorter_cuts_the_answer_off() {
    let path = file("shrinking.txt", &"x".repeat(1_000_000));
    let answer = answer(
        move |request: riot_http::Request| {
            let response = Response::file(request.head(), &path).expect("it is there");
            std::fs::write(&path, "x".repeat(300_000)).expect("it can be written");
            async move { response }
        },
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(field(&answer, "content-length"), "1000000");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing may follow a body that was cut off");
    assert!(answer.ends_with(&"x".repeat(300_000)) && answer.len() < 301_000, "{}", answer.len());
}

#[test]
fn an_empty_file_and_none() {
    let empty = get(&file("empty", ""), "GET", "");
    assert!(empty.starts_with("HTTP/1.1 200 OK\r\n") && field(&empty, "content-length") == "0", "{empty}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    assert!(get(&folder, "GET", "").starts_with("HTTP/1.1 404 "), "a folder is no file");
    assert!(get(&folder.join("nothing here"), "GET", "").starts_with("HTTP/1.1 404 "));
}
