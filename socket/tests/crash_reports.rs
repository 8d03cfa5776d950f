//! The crash report of a Connector names its client and its server: B8, B29.

#[path = "../../actor/tests/common/kept_crashes.rs"]
mod kept_crashes;

use std::{io, time::Duration};

use kept_crashes::KeptCrashes;
use riot_actor::{Reason, simulation::Simulation, sleep, spawn_link, telemetry::CrashReport};
use riot_socket::{Connection, Server, ServerHandle, memory, servers};

/// Runs a protocol for one client, and returns the crash reports.
fn reports_of<F>(protocol: impl Fn(Connection) -> F + Clone + Send + Sync + 'static) -> Vec<CrashReport>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    reports_of_server(|server| server, protocol)
}

/// Runs a protocol for one client of a server that `build` has built, and returns the crash reports.
fn reports_of_server<F>(
    build: impl FnOnce(Server) -> Server + Send + 'static,
    protocol: impl Fn(Connection) -> F + Clone + Send + Sync + 'static,
) -> Vec<CrashReport>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    // Acceptors are killed at the end, which is no crash.
    let crashes = KeptCrashes::default();
    let reason = Simulation::new(7).config(crashes.config("Connector")).run(async move {
        let listener = memory::Listener::new();
        let server = build(Server::listen(listener.clone())).start_link(protocol).await?;
        let client = listener.connect()?;
        sleep(Duration::from_secs(10)).await;
        drop(client);
        server.stop(Duration::ZERO).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason, Reason::Normal);
    crashes.take()
}

fn names_its_client(reports: &[CrashReport]) {
    let [report] = reports else { panic!("one report: {reports:?}") };
    assert!(matches!(report.details[..], [("peer", _), ("server", _), ("age", _)]), "{:?}", report.details);
    assert_eq!(report.details[2].1, "3.0s");
}

#[test]
fn b08_a_connector_that_panics_names_its_client() {
    names_its_client(&reports_of(|_: Connection| async {
        sleep(Duration::from_secs(3)).await;
        panic!("a protocol")
    }));
}

#[test]
fn b08_a_connector_that_ends_with_an_error_names_its_client() {
    names_its_client(&reports_of(|_: Connection| async {
        sleep(Duration::from_secs(3)).await;
        Err(io::Error::other("no disk"))
    }));
}

#[test]
fn b08_a_connector_that_is_killed_names_its_client() {
    let reports = reports_of(|_: Connection| async {
        sleep(Duration::from_secs(3)).await;
        // Its end comes over the link.
        spawn_link(async { Err::<(), _>(io::Error::other("no disk")) });
        std::future::pending().await
    });
    names_its_client(&reports);
    assert!(reports[0].by_signal);
}

#[test]
fn b29_the_crash_report_has_the_name_of_the_server_if_it_has_one() {
    let crash = |_: Connection| async { Err::<(), _>(io::Error::other("as asked")) };
    let reports = reports_of_server(|server| server.name("shop"), crash);
    let [report] = &reports[..] else { panic!("one report: {reports:?}") };
    assert!(report.details.contains(&("server", "shop".to_owned())), "{:?}", report.details);
}

#[test]
fn b29_the_servers_of_a_runtime_are_listed_by_their_names() {
    for seed in 0..20 {
        let reason = Simulation::new(seed).run(async move {
            let names = || servers().iter().map(ServerHandle::name).collect::<Vec<_>>();
            assert_eq!(names(), [""; 0]);
            let silent = |_: Connection| async { Ok::<(), io::Error>(()) };
            let listener = memory::Listener::new();
            let web = Server::listen(memory::Listener::new()).name("web").start_link(silent).await?;
            let plain = Server::listen(listener.clone()).start_link(silent).await?;
            let address = plain.address().expect("it listens").to_string();
            assert_eq!(names(), ["web".to_owned(), address.clone()]);
            assert_eq!((web.name(), web.info().name), ("web".to_owned(), "web".to_owned()));
            web.stop(Duration::ZERO).await;
            assert_eq!(names(), [address]);
            plain.stop(Duration::ZERO).await;
            assert_eq!(names(), [""; 0]);
            Ok::<(), Reason>(())
        });
        assert_eq!(reason, Reason::Normal, "seed {seed}");
    }
}
