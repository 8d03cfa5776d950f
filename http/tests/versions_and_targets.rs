//! The version of a message and the target of a request: RFC 9110 §2.5, §7.1 to §7.4 and RFC 9112 §2.3, §3.2.
//!
//! | section | sentence, shortened | test |
//! |---|---|---|
//! | 9110 §2.5 | a higher minor version is processed as the highest one known (SHOULD) | `h04_a_higher_minor_version_is_processed_as_http_1_1` |
//! | 9110 §2.5 | a server sends the highest version to which it conforms, no higher major (SHOULD) | `responses_say_http_1_1_whatever_the_request_says` |
//! | 9110 §2.5 | no version to which the server does not conform is sent (MUST NOT) | `responses_say_http_1_1_whatever_the_request_says` |
//! | 9110 §15.6.6 | another major version is answered with 505 | `h04_another_major_version_is_505` |
//! | 9112 §2.3 | the version is case-sensitive and has one digit, a dot, one digit | `a_version_is_written_in_one_way` |
//! | 9112 §2.3 | HTTP/1.1 is sent in a response to HTTP/1.0 only without its features (MUST NOT) | `http_1_0_gets_no_features_of_http_1_1` |
//! | 9112 §3.2 | HTTP/1.1 without Host, with two or an invalid one: 400 (MUST) | `h03_host_is_there_once_and_valid` |
//! | 9112 §3.2 | an invalid request line is answered with 400 (SHOULD) | `a_target_has_one_of_four_forms` |
//! | 9112 §3.2.1 | origin-form: path and query are as sent | `a_target_has_one_of_four_forms` |
//! | 9112 §3.2.2 | absolute-form is accepted (MUST) | `h13_the_authority_of_the_target_replaces_host` |
//! | 9112 §3.2.2 | Host is ignored, the target's host is used (MUST) | `h13_the_authority_of_the_target_replaces_host` |
//! | 9112 §3.2.3 | authority-form is for CONNECT alone | `a_target_has_one_of_four_forms` |
//! | 9112 §3.2.4 | asterisk-form is for OPTIONS alone | `a_target_has_one_of_four_forms` |
//! | 9112 §3.3 | the authority is the target's, else that of Host | `h13_the_authority_is_found_in_every_form` |
//! | 9110 §4.2.1 | a URI without a host is invalid (MUST reject) | `an_authority_has_a_host_and_no_user` |
//! | 9110 §4.2.4 | user information is treated as an error (SHOULD) | `an_authority_has_a_host_and_no_user` |
//! | 9110 §7.4 | `https` over a connection that is not secured is rejected (MUST) | `h13_a_scheme_that_is_not_ours_is_421` |
//! | 9110 §7.4 | unless the connection comes from a trusted gateway | `h13_a_gateway_may_bring_both_schemes` |

mod common;

use common::{Held, Served, config};
use riot_http::{HttpConfig, Reqd, Request, Response, Scheme, http::Version, service};

/// Returns what is heard for a head with this request line.
fn line(line: &str) -> String {
    target_server(config()).talk(format!("{line}\r\nHost: a\r\n\r\n"))
}

fn status(heard: &str) -> &str {
    heard.get(9..12).unwrap_or(heard)
}

/// A server that says what it sees of a request.
fn target_server(config: HttpConfig) -> Served {
    let answer = |request: Request| async move {
        let (path, query) = (request.path().to_owned(), request.query().map(str::to_owned));
        let hosts: Vec<_> = request.headers().get_all("host").map(String::from_utf8_lossy).collect();
        let authority = request.authority().map(str::to_owned);
        Response::text(format!("{path} {query:?} {authority:?} {hosts:?} {:?}", request.version()))
    };
    Served::new(config, service(answer))
}

/// Returns what the service saw of a request with this head.
fn seen(head: &str) -> String {
    let heard = target_server(config()).talk(head);
    assert_eq!(status(&heard), "200", "{head:?}: {heard}");
    heard.rsplit_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[test]
fn h04_a_higher_minor_version_is_processed_as_http_1_1() {
    for minor in 2..=9 {
        let mut held = Held::new(config());
        let request = format!("POST /a?b HTTP/1.{minor}\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        let mut reqd = held.request(&request.repeat(2));
        assert_eq!(reqd.request().version(), Version::HTTP_11, "{minor}");
        assert_eq!((reqd.request().path(), reqd.request().query()), ("/a", Some("b")));
        assert_eq!(common::ready(reqd.body().bytes(10)).unwrap(), "hi");
        reqd.respond_with_string(Response::ok(), "1").unwrap();
        held.next().expect("the connection persists").respond_with_string(Response::ok(), "2").unwrap();
        assert_eq!(held.heard(), common::ok("1") + &common::ok("2"));
        // The rules of HTTP/1.1 apply, whole and byte by byte.
        for (head, expected) in [
            (format!("GET / HTTP/1.{minor}\r\n\r\n"), "400"),
            (format!("GET / HTTP/1.{minor}\r\nHost: a\r\nA : b\r\n\r\n"), "400"),
            (format!("GET / HTTP/1.{minor}\r\nHost: a\r\nExpect: x\r\n\r\n"), "417"),
            (
                format!("GET / HTTP/1.{minor}\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                "200",
            ),
            (format!("GET https://a/ HTTP/1.{minor}\r\nHost: a\r\n\r\n"), "421"),
        ] {
            let mut served = target_server(config());
            let heard: String = head.bytes().map(|byte| served.talk([byte])).collect();
            assert_eq!(status(&heard), expected, "{head:?}");
            assert_eq!(target_server(config()).talk(&head), heard, "{head:?}");
        }
    }
}

#[test]
fn h04_another_major_version_is_505() {
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/2.1", "HTTP/3.0", "HTTP/9.9", "HTTP/0.0"] {
        assert_eq!(status(&line(&format!("GET / {version}"))), "505", "{version}");
    }
}

#[test]
fn a_version_is_written_in_one_way() {
    for version in [
        "http/1.1",
        "Http/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP 1.1",
        "HTTP/1.1 ",
        "HTTP/1.x",
        "HTTP/1.2 ",
        "HTTP/1.22",
        "HTTPS/1.1",
        "HTTP/-1.1",
    ] {
        assert_eq!(status(&line(&format!("GET / {version}"))), "400", "{version:?}");
    }
}

#[test]
fn responses_say_http_1_1_whatever_the_request_says() {
    for version in ["HTTP/1.0", "HTTP/1.1", "HTTP/1.5", "HTTP/2.0", "HTTP/x"] {
        assert!(line(&format!("GET / {version}")).starts_with("HTTP/1.1 "), "{version}");
    }
}

#[test]
fn http_1_0_gets_no_features_of_http_1_1() {
    let mut served = Served::new(
        config(),
        service(|_: Request| async {
            Response::streaming(|mut body| async move {
                let _ = body.write("piece").await;
                let _ = body.close();
            })
        }),
    );
    let heard = served.talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(!heard.contains("transfer-encoding") && heard.ends_with("\r\n\r\npiece"), "{heard}");
    assert_eq!(served.hand.write_is_closed(), Some(0), "the end of the body is that of the connection");
    let mut held = Held::new(config());
    let mut reqd = held.request("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    reqd.early_hints(&[]).unwrap();
    assert!(common::poll(reqd.body().chunk()).is_pending());
    assert_eq!(held.heard(), "", "neither 100 nor 103");
}

#[test]
fn h03_host_is_there_once_and_valid() {
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a/\r\n",
        "Host: u@a\r\n",
        "Host: a, b\r\n",
        "Host: a:b\r\n",
        "Host: [::1\r\n",
        "Host: http://a\r\n",
    ] {
        for target in ["/", "http://a/", "*"] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            let heard = target_server(config()).talk(format!("{method} {target} HTTP/1.1\r\n{fields}\r\n"));
            assert_eq!(status(&heard), "400", "{target} {fields:?}");
        }
    }
    // HTTP/1.0 had no Host; one that is given has to be valid all the same.
    assert_eq!(seen("GET / HTTP/1.0\r\n\r\n"), "/ None None [] HTTP/1.0");
    let heard = target_server(config()).talk("GET / HTTP/1.0\r\nHost: a b\r\n\r\n");
    assert_eq!(status(&heard), "400");
}

#[test]
fn a_target_has_one_of_four_forms() {
    for (line, saw) in [
        ("GET /a%20/../b?c=d?e", "/a%20/../b Some(\"c=d?e\")"),
        ("GET //a", "//a None"),
        ("OPTIONS *", "* None"),
        ("OPTIONS http://a", "/ None"),
        ("GET http://a?b", "/ Some(\"b\")"),
    ] {
        let saw_all = seen(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(saw_all.starts_with(saw), "{line}: {saw_all}");
    }
    for bad in [
        "GET *",
        "POST *",
        "OPTIONS **",
        "GET a:80",
        "GET a",
        "CONNECT /",
        "CONNECT a",
        "CONNECT http://a/",
        "GET /#a",
        "GET ?a",
        "GET http:/a",
        "GET http:",
        "GET ://a",
        "GET 1http://a",
        "GET /a b",
        "GET  /",
        "GET /\t",
    ] {
        assert_eq!(status(&line(&format!("{bad} HTTP/1.1"))), "400", "{bad}");
    }
}

#[test]
fn an_authority_has_a_host_and_no_user() {
    for target in [
        "http://",
        "http:///a",
        "http://:80/",
        "http://u@a/",
        "http://u:p@a/",
        "http://a:x/",
        "http://a:65536/",
        "http://[::1/",
    ] {
        assert_eq!(status(&line(&format!("GET {target} HTTP/1.1"))), "400", "{target}");
    }
}

#[test]
fn h13_the_authority_of_the_target_replaces_host() {
    let there = "\"there.example:8080\"";
    for fields in [
        "Host: here\r\n",
        "Host:here\r\nA: b\r\n",
        "A: b\r\nhOsT: \t a-host-that-is-longer-than-the-authority.example \t\r\nB: c\r\n",
        "Host:\r\n",
    ] {
        let head = format!("GET http://there.example:8080/x?y HTTP/1.1\r\n{fields}\r\n");
        let saw = format!("/x Some(\"y\") Some({there}) [{there}] HTTP/1.1");
        assert_eq!(seen(&head), saw, "{fields:?}");
        // The bytes behind the head are where they were: the next request, and a body.
        let mut served = target_server(config());
        let heard = served.talk(format!("{head}GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert!(heard.ends_with("/2 None Some(\"b\") [\"b\"] HTTP/1.1"), "{heard}");
        let mut served = target_server(config());
        let heard: String = head.repeat(2).bytes().map(|byte| served.talk([byte])).collect();
        assert_eq!(heard.matches(&saw).count(), 2, "{heard}");
    }
    // HTTP/1.0 gets a Host that it had not.
    let saw = format!("/ None Some({there}) [{there}] HTTP/1.0");
    assert_eq!(seen("GET http://there.example:8080 HTTP/1.0\r\n\r\n"), saw);
    assert_eq!(seen("GET http://there.example:8080/ HTTP/1.0\r\nA: b\r\nHost: a\r\n\r\n"), saw);
    let mut held = Held::new(config());
    let mut reqd = held.request(
        "POST http://b/ HTTP/1.1\r\nContent-Length: 2\r\nHost: a-much-longer-one\r\n\r\nhi\
         GET /2 HTTP/1.1\r\nHost: c\r\n\r\n",
    );
    assert_eq!(common::ready(reqd.body().bytes(10)).unwrap(), "hi");
    let fields: Vec<_> = reqd.request().headers().iter().collect();
    assert_eq!(fields, [("Content-Length", &b"2"[..]), ("Host", b"b")], "the others stay in their order");
    assert_eq!(reqd.request().headers().to_map()["host"], "b");
    assert_eq!(reqd.request().target(), "http://b/", "the target is as received");
    reqd.respond_with_string(Response::ok(), "").unwrap();
    assert_eq!(held.next().expect("it is there").request().path(), "/2");
}

#[test]
fn h13_the_authority_is_found_in_every_form() {
    let authority = |head: &str| {
        let mut held = Held::new(config());
        held.request(head).request().authority().map(str::to_owned)
    };
    assert_eq!(authority("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n").as_deref(), Some("a:80"));
    assert_eq!(authority("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").as_deref(), Some("[::1]:80"));
    assert_eq!(authority("GET / HTTP/1.1\r\nHost:\r\n\r\n"), None);
    assert_eq!(authority("GET / HTTP/1.0\r\n\r\n"), None);
    assert_eq!(authority("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(), Some("a"));
    assert_eq!(authority("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(), Some("b:443"));
    assert_eq!(authority("GET HTTP://B/c HTTP/1.1\r\nHost: a\r\n\r\n").as_deref(), Some("B"));
}

/// Returns the statuses for targets of three schemes.
fn schemes(config: impl Fn() -> HttpConfig) -> [String; 3] {
    ["http", "https", "ftp"].map(|scheme| {
        let head = format!("GET {scheme}://a/ HTTP/1.1\r\nHost: a\r\n\r\n");
        let heard = target_server(config()).talk(&head);
        let upper = head.replacen(scheme, &scheme.to_uppercase(), 1);
        assert_eq!(target_server(config()).talk(upper), heard, "schemes have no case");
        status(&heard).to_owned()
    })
}

#[test]
fn h13_a_scheme_that_is_not_ours_is_421() {
    assert_eq!(schemes(config), ["200", "421", "421"]);
    assert_eq!(schemes(|| config().scheme(Scheme::Http)), ["200", "421", "421"]);
    assert_eq!(schemes(|| config().scheme(Scheme::Https)), ["421", "200", "421"]);
}

#[test]
fn h13_a_gateway_may_bring_both_schemes() {
    assert_eq!(schemes(|| config().scheme(Scheme::Either)), ["200", "200", "421"]);
}

#[test]
fn handlers_see_what_services_see() {
    let mut served = Served::new(config(), |reqd: Reqd| async move {
        let authority = reqd.request().authority().map(str::to_owned);
        reqd.respond_with_string(Response::ok(), authority.unwrap_or_default())
    });
    assert!(served.talk("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("\r\n\r\nb"));
}
