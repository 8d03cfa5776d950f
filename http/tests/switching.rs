//! The switch to another protocol: RFC 9110 §7.8, and §9.3.6 for tunnels.
//!
//! | section | sentence, shortened | test |
//! |---|---|---|
//! | 9110 §7.8 | `Upgrade` received in HTTP/1.0 is ignored (MUST) | `h15_http_1_0_offers_nothing` |
//! | 9110 §7.8 | `Upgrade` without the connection option is no offer, since the option says whom it is for (MUST of the sender) | `h15_an_offer_without_its_connection_option_is_400_where_a_switch_is_tried` |
//! | 9110 §7.8 | a server may ignore `Upgrade` | `an_offer_may_be_ignored` |
//! | 9110 §7.8 | 101 names the new protocol in `Upgrade` (MUST) | `h15_a_switch_names_its_protocol` |
//! | 9110 §7.8 | no switch to a protocol that was not offered (MUST NOT) | `h15_only_an_offered_protocol_is_switched_to` |
//! | 9110 §7.8 | names of protocols are compared without case (SHOULD) | `h15_only_an_offered_protocol_is_switched_to` |
//! | 9110 §7.8 | the sender of `Upgrade` sends `Connection: upgrade` as well (MUST) | `h15_a_response_with_upgrade_says_so_in_connection` |
//! | 9110 §7.8 | 426 names the protocol (MUST): the handler's duty; the connection option is added | `h15_a_response_with_upgrade_says_so_in_connection` |
//! | 9110 §7.8 | 100 goes ahead of 101 if the request expects it (MUST) | `h15_an_expected_100_goes_ahead_of_101` |
//! | 9110 §7.8 | the whole request is received before the new protocol begins | `an_unread_body_is_in_the_way` |
//! | 9110 §7.8 | a switch that fails leaves the request to be answered | `h15_a_refused_switch_gives_the_request_back_with_the_reason` |
//! | 9110 §9.3.6 | a 2xx to CONNECT has neither length nor coding (MUST NOT) | `flow_rules::f12_a_tunnel_begins_behind_its_answer` |

mod common;

use common::{GET, Held, Served, config, ready};
use riot_http::{
    Reqd, RespondError, Response,
    http::{HeaderValue, StatusCode, header},
};

/// A request with these fields.
fn request(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn switch(protocol: Option<&'static str>) -> Response {
    let response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
    match protocol {
        Some(protocol) => response.header(header::UPGRADE, HeaderValue::from_static(protocol)),
        None => response,
    }
}

/// Tries to switch; returns the reason of a refusal, or what is heard.
fn switched(request: &str, protocol: Option<&'static str>) -> Result<String, RespondError> {
    let mut held = Held::new(config());
    match held.request(request).respond_with_upgrade(switch(protocol)) {
        Ok(_upgrade) => Ok(held.heard()),
        Err((reqd, error)) => {
            reqd.respond_with_string(Response::ok(), "in HTTP").expect("it can be answered");
            assert!(held.heard().ends_with("in HTTP"));
            held.request(GET);
            Err(error)
        }
    }
}

/// Returns what is heard of a handler that tries to switch and gives up.
fn tried(request: &str) -> String {
    let handler = |reqd: Reqd| async move { drop(reqd.respond_with_upgrade(switch(Some("x")))) };
    Served::new(config(), handler).talk(request)
}

#[test]
fn h15_a_refused_switch_gives_the_request_back_with_the_reason() {
    let none = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(switched(none, Some("x")), Err(RespondError::Upgrade));
    assert_eq!(switched(&request("Connection: upgrade\r\n"), Some("x")), Err(RespondError::Upgrade));
    for fields in ["Upgrade: x\r\n", "Upgrade: x\r\nConnection: close, x\r\nConnection: keep-alive\r\n"] {
        let request = request(fields).replace("close, ", "");
        assert_eq!(switched(&request, Some("x")), Err(RespondError::NoUpgradeOption), "{fields}");
    }
    let offer = request("Upgrade: x\r\nConnection: upgrade\r\n");
    let mut held = Held::new(config());
    let (reqd, error) = held.request(&offer).respond_with_upgrade(Response::ok()).unwrap_err();
    assert_eq!((error, reqd.request().path()), (RespondError::Upgrade, "/"), "the status does not switch");
}

#[test]
fn h15_an_offer_without_its_connection_option_is_400_where_a_switch_is_tried() {
    for fields in
        ["Upgrade: x\r\n", "Upgrade: x\r\nConnection: keep-alive\r\n", "Connection: x\r\nUpgrade: x\r\n"]
    {
        let heard = tried(&(request(fields) + GET));
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("Connection: upgrade"), "{heard}");
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 2, "the connection goes on: {heard}");
    }
    assert!(
        tried(GET).starts_with("HTTP/1.1 500 "),
        "a switch that was not asked for is the handler's fault"
    );
}

#[test]
fn h15_http_1_0_offers_nothing() {
    let request = "GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: x\r\n\r\n";
    let mut held = Held::new(config());
    let reqd = held.request(&request.repeat(2));
    assert_eq!(reqd.request().offered_protocols().count(), 0);
    let (reqd, error) = reqd.respond_with_upgrade(switch(Some("x"))).unwrap_err();
    assert_eq!(error, RespondError::Upgrade);
    reqd.respond_with_string(Response::ok(), "1").unwrap();
    // What follows is read ahead as after any other request.
    assert!(held.hand.unread().is_empty());
    held.next().unwrap().respond_with_string(Response::ok(), "2").unwrap();
    assert_eq!(held.heard().matches("connection: keep-alive").count(), 2);
}

#[test]
fn an_offer_may_be_ignored() {
    let mut held = Held::new(config());
    let request = request("Connection: Upgrade\r\nUpgrade: x/1, Y\r\nupgrade: z\r\n");
    let reqd = held.request(&(request + GET));
    assert_eq!(reqd.request().offered_protocols().collect::<Vec<_>>(), ["x/1", "Y", "z"]);
    reqd.respond_with_string(Response::ok(), "1").unwrap();
    held.hand.pump();
    held.next().unwrap().respond_with_string(Response::ok(), "2").unwrap();
    assert_eq!(held.heard(), common::ok("1") + &common::ok("2"));
}

#[test]
fn h15_a_switch_names_its_protocol() {
    let offer = request("Upgrade: x\r\nConnection: upgrade\r\n");
    let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(switched(&offer, Some("x")).unwrap(), expected);
    assert_eq!(switched(&offer, None).unwrap(), expected, "there is no choice");
    let choice = request("Upgrade: x, y\r\nConnection: upgrade\r\n");
    assert_eq!(switched(&choice, None), Err(RespondError::UnofferedProtocol));
    let empty = request("Upgrade: ,\r\nConnection: upgrade\r\n");
    assert_eq!(switched(&empty, None), Err(RespondError::UnofferedProtocol));
}

#[test]
fn h15_only_an_offered_protocol_is_switched_to() {
    let offer = request("Connection: a, upgrade\r\nUpgrade: x/1 ,, WebSocket\r\nUpgrade:\tz\r\n");
    for protocol in ["x/1", "websocket", "WEBSOCKET", "z", "x/1, z"] {
        assert!(switched(&offer, Some(protocol)).unwrap().starts_with("HTTP/1.1 101 "), "{protocol}");
    }
    for protocol in ["x", "x/2", "y", "websocket, y", "x/1 z", "web"] {
        assert_eq!(switched(&offer, Some(protocol)), Err(RespondError::UnofferedProtocol), "{protocol}");
    }
}

#[test]
fn h15_a_response_with_upgrade_says_so_in_connection() {
    let heard = |request: &str, status| {
        let mut held = Held::new(config());
        let response = Response::new(status).header(header::UPGRADE, HeaderValue::from_static("x"));
        held.request(request).respond_with_string(response, "").unwrap();
        held.heard()
    };
    for status in [StatusCode::UPGRADE_REQUIRED, StatusCode::OK, StatusCode::NOT_FOUND] {
        assert!(heard(GET, status).contains("\r\nconnection: upgrade\r\n"), "{status}");
        let close = heard(&request("Connection: close\r\n"), status);
        assert!(close.contains("\r\nconnection: close, upgrade\r\n"), "{close}");
        let keep = heard("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", status);
        assert!(keep.contains("\r\nconnection: keep-alive, upgrade\r\n"), "{keep}");
    }
}

#[test]
fn h15_an_expected_100_goes_ahead_of_101() {
    let fields = "Upgrade: x\r\nConnection: upgrade\r\nExpect: 100-continue\r\n";
    let heard = switched(&request(fields), Some("x")).unwrap();
    assert!(heard.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 "), "{heard}");
    // With a body it is sent when the body is asked for, and not again.
    let mut held = Held::new(config());
    let mut reqd = held.request(&request(&format!("{fields}Content-Length: 2\r\n")));
    assert!(common::poll(reqd.body().chunk()).is_pending());
    held.hand.push(b"hi");
    assert_eq!(ready(reqd.body().bytes(2)).unwrap(), "hi");
    let _upgrade = reqd.respond_with_upgrade(switch(Some("x"))).unwrap();
    let heard = held.heard();
    assert_eq!(heard.matches("HTTP/1.1 100 Continue\r\n\r\n").count(), 1, "{heard}");
    assert!(heard.contains("\r\n\r\nHTTP/1.1 101 "), "{heard}");
    // A request that is answered in HTTP needs none.
    let mut held = Held::new(config());
    held.request(&request(fields)).respond_with_string(Response::ok(), "no").unwrap();
    assert_eq!(held.heard(), common::ok("no"));
}

#[test]
fn an_unread_body_is_in_the_way() {
    let fields = "Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n";
    let mut held = Held::new(config());
    let reqd = held.request(&(request(fields) + "hi"));
    let (mut reqd, error) = reqd.respond_with_upgrade(switch(Some("x"))).unwrap_err();
    assert_eq!(error, RespondError::UnreadBody);
    assert_eq!(ready(reqd.body().bytes(2)).unwrap(), "hi");
    assert!(reqd.respond_with_upgrade(switch(Some("x"))).is_ok(), "once it is read the switch is possible");
}

#[test]
fn h15_bytes_behind_an_offer_with_close_are_kept() {
    for others in ["", "close, "] {
        let offer = request(&format!("Upgrade: x\r\nConnection: {others}upgrade\r\n"));
        let mut held = Held::new(config());
        let _upgrade = held.request(&format!("{offer}early")).respond_with_upgrade(switch(None)).unwrap();
        assert!(held.heard().starts_with("HTTP/1.1 101 "));
        assert_eq!(held.hand.unread(), b"early", "{others}");
    }
    // Without a switch nothing behind the close is processed.
    let mut held = Held::new(config());
    let offer = request("Upgrade: x\r\nConnection: close, upgrade\r\n");
    held.request(&format!("{offer}{GET}")).respond_with_string(Response::ok(), "last").unwrap();
    assert!(held.heard().contains("connection: close\r\n"));
    assert!(held.next().is_none() && held.is_over());
}
