//! The page as browsers get it: OB11.

mod common;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use common::{ask, get};
use riot_actor::{
    Pid, Reason,
    process::SpawnOptions,
    runtime::{Config, blocking},
    simulation::Simulation,
};
use riot_http::{Reqd, Response, Server};
use riot_observer::Observer;
use riot_socket::memory::Listener;

const HTML: &str = "Accept: text/html,application/xhtml+xml;q=0.9\r\n";

async fn hello(reqd: Reqd) {
    let _ = reqd.respond_with_string(Response::ok(), "hello");
}

#[test]
fn ob11_browsers_get_the_page_whole_with_a_policy_of_its_own() {
    Simulation::sweep(0..10, || async {
        let listener = Listener::new();
        let handler = Observer::new().mount("/ops", hello);
        let server = Server::listen(listener.clone()).handler(handler).start_link().await?;
        for path in ["/ops", "/ops/", "/ops?x=1"] {
            let page = ask(&listener, "GET", path, HTML).await;
            assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
            assert_eq!(page.body, include_str!("../src/page/page.html"));
            assert_eq!(page.all("content-security-policy").count(), 1);
            let policy = page.field("content-security-policy").expect("it has one");
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(page.field("cache-control"), Some("no-store"));
        }
        let text = get(&listener, "/ops").await;
        assert!(text.body.contains("api/1/home"), "other clients get a list of paths: {}", text.body);
        assert_eq!(ask(&listener, "POST", "/ops", HTML).await.status, 405);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
}

/// Returns the document of an address after its script has run for some seconds, and the log of the browser;
/// none without Chromium.
async fn browse(url: String) -> Option<(String, String)> {
    let output = blocking(move || {
        let profile = std::env::temp_dir().join(format!("riot-observer-chromium-{}", std::process::id()));
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
            .args(["--virtual-time-budget=4000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stdin(Stdio::null())
            .output();
        let _ = std::fs::remove_dir_all(profile);
        output
    });
    let output = output.await.ok()?;
    Some((String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into()))
}

#[test]
fn ob11_in_a_browser_every_tab_shows_its_rows_and_hostile_texts_stay_texts() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>";
    const SHOWN: &str = "&lt;img src=x onerror=alert(1)&gt;";
    let reason = Config::new().workers(2).run(async {
        let server = Observer::new().with_controls().listen("127.0.0.1:0")?.start_link().await?;
        let clerk: Pid = SpawnOptions::new().label(HOSTILE).spawn(std::future::pending::<()>());
        riot_actor::register("the-clerk", clerk)?;
        SpawnOptions::new().label("Chief").spawn(async { Err::<(), _>(Reason::other(HOSTILE)) });
        let address = server.local_addr();
        let (home, connections) = (SHOWN.to_owned(), "aria-label=\"Suspend observer\"".to_owned());
        for (tab, parts) in [
            ("home", [home.clone(), "Worker 1: ".to_owned(), "Chief".to_owned()]),
            ("tree", [SHOWN.to_owned(), format!("&lt;{}", &clerk.to_string()[1..4]), "Connector".to_owned()]),
            (
                "processes",
                ["the-clerk".to_owned(), "aria-sort=\"descending\"".to_owned(), "Connector".to_owned()],
            ),
            ("connections", [connections, "127.0.0.1:".to_owned(), "handling".to_owned()]),
            ("http", ["Handler errors".to_owned(), "Latency of ".to_owned(), "cut: client_gone".to_owned()]),
            ("crashes", [home, "Chief".to_owned(), "Ended by".to_owned()]),
            ("names", ["the-clerk".to_owned(), "Groups".to_owned(), "Due in".to_owned()]),
        ] {
            let Some((document, log)) = browse(format!("http://{address}/observer#{tab}")).await else {
                eprintln!("SKIPPED: chromium is not installed (Debian: apt-get install chromium)");
                break;
            };
            let panel = format!("id=\"panel-{tab}\"");
            let shown = document.split("<section ").find(|section| section.contains(&panel));
            let shown = shown.unwrap_or_else(|| panic!("{tab}: {document}\n{log}"));
            for part in &parts {
                assert!(shown.contains(part.as_str()), "{tab} shows no {part}: {shown}\n{log}");
            }
            assert!(!document.contains("<img"), "{tab}");
            assert!(!log.contains("CONSOLE") && !log.contains("Content Security Policy"), "{tab}: {log}");
        }
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("the runtime starts"), Reason::Normal);
}
