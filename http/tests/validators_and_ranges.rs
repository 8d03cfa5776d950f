//! Validators, conditions and ranges of files: RFC 9110 §8.8, §13, §14, §15.3.7, §15.4.5 and §15.5.17.
//!
//! | section | sentence, shortened | test |
//! |---|---|---|
//! | §8.8.1 | a strong validator changes whenever the content changes (MUST) | `h16_the_entity_tag_changes_with_the_contents` |
//! | §8.8.2 | Last-Modified is sent where it is known (SHOULD) | `file_responses::a_file_whole_in_part_and_not_at_all` |
//! | §8.8.2.1 | it is not later than Date; one that is gets replaced (MUST) | `h16_last_modified_is_never_later_than_date` |
//! | §8.8.2.2 | a date is weak within its own second | `h16_a_date_is_no_strong_validator_within_its_second` |
//! | §8.8.3 | ETag is sent where it is known (SHOULD) | `h16_a_response_without_its_file_has_what_a_client_lacks` |
//! | §8.8.3.2 | If-Match and If-Range compare strongly, If-None-Match weakly (MUST) | `conditional::conditions` |
//! | §13.1.3 to §13.1.5 | a date that is none, or a list of them, is ignored (MUST) | `dates_that_are_none_are_ignored` |
//! | §13.1.5 | If-Range with a date that is not strong is false (MUST) | `h16_a_date_is_no_strong_validator_within_its_second` |
//! | §13.1.5 | If-Range without Range is ignored (MUST) | `a_range_needs_its_field` |
//! | §13.2.1 | conditions on OPTIONS and TRACE are ignored (MUST) | `other_methods_have_no_conditions` |
//! | §13.2.2 | the order of precedence (MUST) | `conditional::conditions` |
//! | §14.1.2 | an unsatisfiable set, a suffix longer than the file | `conditional::ranges` |
//! | §14.2 | Range with another method or unit is ignored (MUST) | `conditional::ranges` |
//! | §5.6.1.2 | empty elements of a list are ignored (MUST) | `conditional::ranges` |
//! | §14.3 | Accept-Ranges says what is supported (MAY) | `h16_a_response_without_its_file_has_what_a_client_lacks` |
//! | §15.3.7 | 206 has Content-Range; the fields of a 200; with If-Range no others (MUST, SHOULD NOT) | `h16_a_response_without_its_file_has_what_a_client_lacks` |
//! | §15.3.7.2 | no Content-Range in the head of several parts (MUST NOT) | `file_responses::several_parts_of_a_file_come_in_one_answer` |
//! | §15.4.5 | 304 has ETag, and no other metadata (MUST, SHOULD NOT) | `h16_a_response_without_its_file_has_what_a_client_lacks` |
//! | §15.5.17 | 416 says the length (SHOULD) | `file_responses::a_file_whole_in_part_and_not_at_all` |
#![cfg(all(feature = "files", unix))]

mod common;

use std::{
    fs::{self, File},
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::Served;
use riot_http::{FileError, Folder, HttpConfig, IntoResponse, Request, Response, service};

/// A folder of its own for each test, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("it can be made");
        Self(path)
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("it can be made");
        fs::write(&path, contents).expect("it can be written");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns what a client hears of a file, by the clock of the system.
fn ask(path: &Path, method: &str, fields: &str) -> String {
    let path = path.to_path_buf();
    let answer = move |request: Request| {
        let response = Response::file(request.head(), &path);
        async move { response }
    };
    let mut served = Served::new(HttpConfig::new(), service(answer));
    served.hand.push(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
    String::from_utf8_lossy(&served.run(usize::MAX)).into_owned()
}

fn get(path: &Path, fields: &str) -> String {
    ask(path, "GET", fields)
}

fn status(heard: &str) -> &str {
    &heard[9..12]
}

fn field<'a>(heard: &'a str, name: &str) -> Option<&'a str> {
    heard.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn date(heard: &str, name: &str) -> SystemTime {
    let value = field(heard, name).unwrap_or_else(|| panic!("no {name} in {heard}"));
    httpdate::parse_http_date(value).expect("a date")
}

fn set_modified(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).expect("it is there").set_modified(time).expect("it can be set");
}

fn long_ago() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

#[test]
fn h16_last_modified_is_never_later_than_date() {
    let place = Place::new("later");
    for (name, contents) in [("small", "abc".to_owned()), ("large", "x".repeat(100_000))] {
        let path = place.file(name, &contents);
        for years in [1, 50, 2_000] {
            set_modified(&path, SystemTime::now() + Duration::from_secs(years * 31_557_600));
            for fields in ["", "Range: bytes=0-1\r\n", "Range: bytes=0-0,2-2\r\n"] {
                let heard = get(&path, fields);
                assert!(date(&heard, "last-modified") <= date(&heard, "date"), "{heard}");
            }
            let head = ask(&path, "HEAD", "");
            assert!(date(&head, "last-modified") <= date(&head, "date"), "{head}");
        }
        set_modified(&path, long_ago());
        assert_eq!(date(&get(&path, ""), "last-modified"), long_ago());
    }
    // Nor is one that a handler gives.
    let later = |_: Request| async {
        let later = SystemTime::now() + Duration::from_secs(3_600);
        let (name, value) = ("last-modified", httpdate::fmt_http_date(later));
        Response::text("").try_header(name, value).expect("it is a field")
    };
    let mut served = Served::new(HttpConfig::new(), service(later));
    served.hand.push(common::GET.as_bytes());
    let heard = String::from_utf8(served.run(usize::MAX)).expect("text");
    assert_eq!(field(&heard, "last-modified"), field(&heard, "date"), "{heard}");
}

#[test]
fn odd_times_are_no_trouble() {
    let place = Place::new("odd");
    let path = place.file("a", "abc");
    let day = Duration::from_secs(86_400);
    for time in [
        UNIX_EPOCH,
        UNIX_EPOCH - day,
        UNIX_EPOCH - Duration::from_nanos(1),
        UNIX_EPOCH - 40_000 * day,
        UNIX_EPOCH + 100_000 * day,
        UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        UNIX_EPOCH + Duration::from_secs(1 << 33),
    ] {
        // Not every file system can store every time.
        if File::options().write(true).open(&path).expect("it is there").set_modified(time).is_ok() {
            let heard = get(&path, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
            assert!(["200", "304"].contains(&status(&heard)), "{time:?}: {heard}");
            assert!(get(&path, "").ends_with("\r\n\r\nabc"), "{time:?}");
        }
    }
}

#[test]
fn h16_the_entity_tag_changes_with_the_contents() {
    let place = Place::new("tag");
    let path = place.file("small", "aaaa");
    set_modified(&path, long_ago());
    let tag = |path: &Path| field(&get(path, ""), "etag").expect("there is one").to_owned();
    let first = tag(&path);
    assert!(first.starts_with('"'), "it is strong: {first}");
    assert_eq!(tag(&path), first);
    // As many bytes, and the same time, set by hand; then many changes within one tick of the clock.
    fs::write(&path, "bbbb").unwrap();
    set_modified(&path, long_ago());
    assert_ne!(tag(&path), first);
    let mut tags = std::collections::HashSet::new();
    for number in 1_000..1_100 {
        fs::write(&path, number.to_string()).unwrap();
        let heard =
            get(&path, &format!("If-None-Match: {first}\r\nIf-Range: {first}\r\nRange: bytes=0-1\r\n"));
        assert!(heard.ends_with(&number.to_string()), "the whole new file: {heard}");
        assert!(tags.insert(tag(&path)), "{number}");
    }
    // A large file: the tag is weak while the file may still change within a tick.
    let large = place.file("large", &"x".repeat(100_000));
    let fresh = tag(&large);
    assert!(fresh.starts_with("W/\""), "{fresh}");
    let whole = get(&large, &format!("If-Range: {fresh}\r\nRange: bytes=0-1\r\n"));
    assert_eq!(status(&whole), "200", "a weak tag is not enough for a range");
    assert_eq!(status(&get(&large, &format!("If-Match: {fresh}\r\n"))), "412");
    assert_eq!(status(&get(&large, &format!("If-None-Match: {fresh}\r\n"))), "304");
    fs::write(&large, "y".repeat(100_000)).unwrap();
    set_modified(&large, long_ago());
    let second = tag(&large);
    fs::write(&large, "z".repeat(100_000)).unwrap();
    set_modified(&large, long_ago());
    assert_ne!(second, fresh);
    // Another file in its place.
    let other = place.file("other", &"w".repeat(100_000));
    set_modified(&other, long_ago());
    fs::rename(&other, &large).unwrap();
    assert_ne!(tag(&large), second);
}

#[test]
fn h16_a_date_is_no_strong_validator_within_its_second() {
    let place = Place::new("date");
    let path = place.file("a", "abcdefghij");
    let range = |path: &Path, time: SystemTime| {
        let date = httpdate::fmt_http_date(time);
        status(&get(path, &format!("If-Range: {date}\r\nRange: bytes=0-1\r\n"))).to_owned()
    };
    set_modified(&path, long_ago());
    assert_eq!(range(&path, long_ago()), "206");
    assert_eq!(range(&path, long_ago() + Duration::from_secs(1)), "200", "it has to be the same date");
    // The current second, and the future: the file may change again without another date.
    for ahead in [0, 5, 100_000] {
        let time = SystemTime::now() + Duration::from_secs(ahead + 1);
        set_modified(&path, time);
        assert_eq!(range(&path, time), "200", "{ahead} s ahead");
        let since = format!("If-Modified-Since: {}\r\n", httpdate::fmt_http_date(time));
        assert_eq!(status(&get(&path, &since)), "304", "a weak validator is enough here");
    }
}

#[test]
fn h16_a_response_without_its_file_has_what_a_client_lacks() {
    let place = Place::new("fields");
    let path = place.file("a.css", "abcdefghij");
    set_modified(&path, long_ago());
    let whole = get(&path, "");
    for name in ["etag", "last-modified", "accept-ranges", "content-type", "date"] {
        assert!(field(&whole, name).is_some(), "{name} in {whole}");
    }
    let tag = field(&whole, "etag").expect("there is one");
    let same = get(&path, &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((status(&same), field(&same, "etag")), ("304", Some(tag)));
    for name in ["last-modified", "content-type", "content-length"] {
        assert_eq!(field(&same, name), None, "{name} in {same}");
    }
    let part = get(&path, "Range: bytes=2-4\r\n");
    assert_eq!(field(&part, "content-range"), Some("bytes 2-4/10"));
    assert!(field(&part, "last-modified").is_some() && field(&part, "content-type").is_some(), "{part}");
    let known = get(&path, &format!("If-Range: {tag}\r\nRange: bytes=2-4\r\n"));
    assert_eq!((status(&known), field(&known, "etag")), ("206", Some(tag)));
    assert!(field(&known, "last-modified").is_none() && field(&known, "content-type").is_none(), "{known}");
    assert!(known.ends_with("\r\n\r\ncde"));
}

#[test]
fn dates_that_are_none_are_ignored() {
    let place = Place::new("dates");
    let path = place.file("a", "abc");
    set_modified(&path, long_ago());
    let (now, early) = (httpdate::fmt_http_date(SystemTime::now()), httpdate::fmt_http_date(UNIX_EPOCH));
    for value in ["", "yesterday", "0", "1", &format!("{now}, {now}"), &format!("\"{now}\"")] {
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            assert_eq!(status(&get(&path, &format!("{name}: {value}\r\n"))), "200", "{name}: {value}");
        }
        assert_eq!(
            status(&get(&path, &format!("If-Range: {value}\r\nRange: bytes=0-1\r\n"))),
            "200",
            "{value}"
        );
    }
    let twice = |name: &str, date: &str| get(&path, &format!("{name}: {date}\r\n{name}: {date}\r\n"));
    assert_eq!(status(&twice("If-Modified-Since", &now)), "200");
    assert_eq!(status(&twice("If-Unmodified-Since", &early)), "200");
    assert_eq!(status(&get(&path, &format!("If-Unmodified-Since: {early}\r\n"))), "412");
}

#[test]
fn a_range_needs_its_field() {
    let place = Place::new("range");
    let path = place.file("a", "abc");
    set_modified(&path, long_ago());
    let tag = field(&get(&path, ""), "etag").expect("there is one").to_owned();
    assert_eq!(status(&get(&path, &format!("If-Range: {tag}\r\n"))), "200");
    assert_eq!(status(&get(&path, "If-Range: \"other\"\r\n")), "200");
    assert_eq!(status(&get(&path, "Range: bytes=0-0\r\nRange: bytes=1-1\r\n")), "200", "two fields are none");
    for method in ["HEAD", "POST", "PUT", "DELETE"] {
        assert_eq!(status(&ask(&path, method, "Range: bytes=0-0\r\n")), "200", "{method}");
    }
}

#[test]
fn other_methods_have_no_conditions() {
    let place = Place::new("methods");
    let path = place.file("a", "abc");
    for method in ["OPTIONS", "TRACE"] {
        for fields in ["If-Match: \"x\"\r\n", "If-None-Match: *\r\n", "Range: bytes=9-\r\n"] {
            assert_eq!(status(&ask(&path, method, fields)), "200", "{method} {fields}");
        }
    }
    assert_eq!(status(&ask(&path, "DELETE", "If-None-Match: *\r\n")), "412");
}

#[test]
fn h16_only_regular_files_are_served_and_nothing_is_waited_for() {
    let place = Place::new("kinds");
    let pipe = place.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let socket = place.0.join("socket");
    let _listener = UnixListener::bind(&socket).expect("it can be bound");
    let link = place.0.join("link");
    symlink(&pipe, &link).unwrap();
    let circle = place.0.join("circle");
    symlink(&circle, &circle).unwrap();
    let file = place.file("file", "");
    let paths =
        [pipe, socket, link, circle, place.0.clone(), "/dev/null".into(), "/dev/tty".into(), file.join("x")];
    for path in paths.iter().chain([
        &place.0.join("nothing"),
        &place.0.join("a\0b"),
        &place.0.join("x".repeat(5_000)),
    ]) {
        for method in ["GET", "HEAD", "POST"] {
            assert_eq!(status(&ask(path, method, "")), "404", "{method} {}", path.display());
        }
    }
}

#[test]
fn h16_a_program_without_descriptors_answers_503() {
    // The limit is that of a whole process, so that this runs in one of its own.
    const CHILD: &str = "RIOT_TEST_WITHOUT_DESCRIPTORS";
    if let Ok(path) = std::env::var(CHILD) {
        let mut held = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            held.push(file);
        }
        let heard = get(Path::new(&path), "");
        drop(held);
        assert_eq!((status(&heard), field(&heard, "retry-after")), ("503", Some("1")), "{heard}");
        assert_eq!(status(&get(Path::new(&path), "")), "200");
        return;
    }
    let place = Place::new("descriptors");
    let path = place.file("a", "abc");
    let test = std::env::current_exe().expect("a test is a program");
    let name = "h16_a_program_without_descriptors_answers_503";
    let script = r#"ulimit -n 40; exec "$0" --exact "$1" --test-threads 1"#;
    let output = Command::new("sh").args(["-c", script]).arg(test).arg(name).env(CHILD, &path).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn h16_links_out_of_a_folder_are_refused_on_request() {
    let place = Place::new("links");
    let outside = place.file("outside/secret", "secret");
    place.file("outside/folder/x", "x");
    let root = place.0.join("root");
    place.file("root/a/file", "inner");
    for (target, link) in [
        (outside.clone(), "out"),
        (PathBuf::from("../outside/secret"), "relative"),
        (place.0.join("outside/folder"), "folder"),
        (PathBuf::from("a/file"), "in"),
        (root.join("a/file"), "absolute"),
        (PathBuf::from("../root/a/file"), "round"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(&root, place.0.join("root-link")).unwrap();
    let ask = |folder: Folder, path: &str| {
        let answer = move |request: Request| {
            let response = folder.file(request.head());
            async move { response.unwrap_or_else(FileError::into_response) }
        };
        let mut served = Served::new(HttpConfig::new(), service(answer));
        served.hand.push(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        status(&String::from_utf8_lossy(&served.run(usize::MAX))).to_owned()
    };
    for root in [root, place.0.join("root-link")] {
        for (path, followed, inner) in [
            ("/a/file", "200", "200"),
            ("/in", "200", "200"),
            ("/absolute", "200", "200"),
            ("/round", "200", "200"),
            ("/out", "200", "404"),
            ("/relative", "200", "404"),
            ("/folder/x", "200", "404"),
            ("/nothing", "404", "404"),
            ("/../outside/secret", "404", "404"),
            ("/.hidden", "404", "404"),
        ] {
            assert_eq!(ask(Folder::new(&root), path), followed, "{path}");
            assert_eq!(ask(Folder::new(&root).inner_links_only(), path), inner, "{path}");
        }
    }
}

#[test]
fn h16_what_is_well_known_is_served_on_request() {
    let place = Place::new("known");
    place.file(".well-known/acme-challenge/token", "proof");
    place.file(".hidden", "");
    let ask = |folder: &Folder, path: &str| folder.path(path).is_some_and(|path| path.exists());
    let known = Folder::new(&place.0).well_known();
    assert!(ask(&known, "/.well-known/acme-challenge/token"));
    assert!(!ask(&Folder::new(&place.0), "/.well-known/acme-challenge/token"));
    assert!(!ask(&known, "/.hidden") && !ask(&known, "/.well-known/../.hidden"));
}
