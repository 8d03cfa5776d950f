//! The console: every command, bad ones, and a program whose workers are all stuck. OB13.
#![cfg(unix)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use riot_actor::{
    Reason,
    process::SpawnOptions,
    runtime::{Config, blocking},
    send,
    simulation::Simulation,
    sleep,
    telemetry::crashes,
};
use riot_observer::Console;
use riot_socket::{Connection, Server, memory::Listener};
use riot_supervisor::Supervisor;

async fn ask(console: &Console, line: &str) -> Result<serde_json::Value, String> {
    console.execute(line).finish().await.map(|reply| reply.json().clone())
}

async fn lines(console: &Console, line: &str) -> String {
    console.execute(line).finish().await.expect("it is a command").lines().join("\n")
}

/// The path of a socket, in a folder that is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("riot-console-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("app.riot")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client on a plain thread.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the console listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        Self(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it is read");
    }

    /// Reads until the line that ends an answer.
    fn hear(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let start = answer.len();
            assert!(self.0.read_line(&mut answer).expect("it answers") > 0, "it has ended: {answer}");
            if answer[start..] == *"OK\n" || answer[start..].starts_with("ERR ") {
                return answer;
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n"));
        self.hear()
    }
}

#[test]
fn ob13_every_command_that_reads_is_answered_at_once() {
    Simulation::sweep(0..10, || async {
        let listener = Listener::new();
        let serve = |connection: Connection| async move {
            std::future::pending::<()>().await;
            drop(connection);
        };
        let server = Server::listen(listener.clone()).name("web").start_link(serve).await.unwrap();
        let _client = listener.connect().unwrap();
        server.wait_for_connections(|connections| connections == 1).await;
        sleep(Duration::from_millis(1)).await;
        let _supervisor = Supervisor::dynamic().label("pool").start_link().await.unwrap();
        let idler = SpawnOptions::new().label("idler").spawn(std::future::pending::<()>());
        (0..5_u32).for_each(|number| send(idler, number));
        let crashing = SpawnOptions::new().label("bad").spawn(async { Reason::error("as asked") });
        riot_actor::process::wait(crashing).await;
        riot_actor::register("clock", idler).unwrap();

        let console = Console::new();
        let pid = idler.to_string();
        for (command, part) in [
            ("help", "top mailbox"),
            ("version", "uptime_ms: "),
            ("tree", "idler"),
            ("tree 1", "main"),
            ("supervisors", "dynamic"),
            ("top mailbox", "idler"),
            ("top age 3", "label"),
            ("find IDL", "idler"),
            (&format!("info {pid}"), "idler"),
            ("names", "clock"),
            ("groups", "groups"),
            ("timers", "rows"),
            ("tables", "rows"),
            ("crashes", "error: as asked"),
            ("crashes 1", "/bad"),
            ("servers", "web"),
            ("connections", "web"),
            ("connections web by age 10", "total: 1"),
        ] {
            assert!(console.execute(command).is_done(), "{command} needs no process");
            let text = lines(&console, command).await;
            assert!(text.contains(part), "{command} has no {part}: {text}");
            let json = ask(&console, &format!("json {command}")).await.expect("it is a command");
            assert!(json.is_object(), "{command}: {json}");
        }
        let first = lines(&console, "top mailbox 1").await;
        assert!(first.contains("idler") && first.lines().count() == 3, "{first}");
        let inspected = ask(&console, &format!("inspect {pid}")).await.expect("it yields");
        assert_eq!(
            (inspected["messages"].as_u64(), inspected["types"][0]["type"].as_str()),
            (Some(5), Some("u32"))
        );
        let window = lines(&console, "top slices 5 1s").await;
        assert!(window.contains("growth"), "{window}");
        assert_eq!(crashes().len(), 1);
        server.stop(Duration::ZERO).await;
    });
}

#[test]
fn ob13_bad_commands_say_what_is_wrong() {
    Simulation::sweep(0..3, || async {
        let console = Console::new().with_controls();
        for (command, wrong) in [
            ("", "no command"),
            ("reboot", "unknown command"),
            ("top", "unknown command"),
            ("top weight", "no such key"),
            ("top mailbox many", "no number"),
            ("top mailbox 1 soon", "no duration"),
            ("info me", "no pid"),
            ("info <1.2.3>", "no such process"),
            ("inspect 7", "no pid"),
            ("tree deep", "no number"),
            ("connections a b c", "connections [SERVER]"),
            ("connections by weight", "no such key"),
            ("exit me", "no pid"),
            ("kill <1.2.3>", "no such process"),
            ("close <1.2.3>", "no such connection"),
            ("suspend web", "no such server"),
            ("set web max_connections x", "no number"),
            ("set web speed 3", "bad arguments"),
            ("drain soon", "no duration"),
            ("find", "unknown command"),
        ] {
            let error = ask(&console, command).await.expect_err(command);
            assert!(error.contains(wrong), "{command}: {error}");
        }
    });
}

#[test]
fn ob13_controls_are_off_until_they_are_allowed() {
    Simulation::sweep(0..10, || async {
        let victim = || SpawnOptions::new().label("victim").spawn(std::future::pending::<()>());
        let (first, second) = (victim(), victim());
        let console = Console::new();
        for command in [format!("kill {first}"), "shutdown".into(), "drain 1s".into(), "close 1.1.1".into()] {
            assert!(ask(&console, &command).await.expect_err(&command).contains("are off"));
        }
        let console = console.with_controls();
        ask(&console, &format!("kill {first}")).await.expect("it is allowed");
        ask(&console, &format!("exit {second} too old")).await.expect("it is allowed");
        riot_actor::process::wait(first).await;
        riot_actor::process::wait(second).await;
        assert!(crashes().iter().any(|crash| crash.reason[0].contains("too old")), "{:?}", crashes());

        let listener = Listener::new();
        let serve = |mut connection: Connection| async move { connection.read(&mut [0; 1]).await.map(drop) };
        let server = Server::listen(listener.clone()).name("web").start_link(serve).await.unwrap();
        ask(&console, "set web max_connections 7").await.expect("it is allowed");
        assert_eq!(server.info().max_connections, 7);
        ask(&console, "suspend web").await.expect("it is allowed");
        assert!(listener.connect().is_err(), "it listens no more");
        ask(&console, "resume web").await.expect("it is allowed");
        let mut client = listener.connect().expect("it listens again");
        while server.connections().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        ask(&console, &format!("close {}", server.connections()[0].pid)).await.expect("it is allowed");
        assert_eq!(client.read(&mut [0; 1]).await.expect("it ends in order"), 0);
        ask(&console, "drain 1s").await.expect("it is allowed");
        while server.pid().is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn ob13_the_socket_answers_lines_however_they_are_cut() {
    let place = Place::new("lines");
    let path = place.socket();
    let socket = path.clone();
    let reason = Config::new().run(async move {
        let console = Console::new().listen(&socket);
        let supervisor = Supervisor::one_for_one().child(console.child_spec("console")).start_link().await?;
        let mode = std::fs::metadata(&socket).map(|file| file.permissions().mode() & 0o777);
        assert_eq!(mode.ok(), Some(0o600));
        let taken = Console::new().listen(&socket).start_link();
        assert!(taken.is_err(), "a console that is served is not replaced");
        blocking(move || {
            let mut client = Client::connect(&socket);
            assert!(client.ask("help").ends_with("OK\n"));
            for piece in ["na", "mes", "\n"] {
                client.say(piece);
            }
            assert!(client.hear().ends_with("OK\n"));
            client.say("names\ngroups\n");
            assert_eq!((client.hear().ends_with("OK\n"), client.hear().ends_with("OK\n")), (true, true));
            let json = client.ask("json version");
            let value: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).expect("JSON");
            assert!(value["version"].is_string());
            assert_eq!(client.ask("nonsense"), "ERR unknown command; try help\n");
            client.0.get_mut().write_all(b"\xff\n").unwrap();
            assert_eq!(client.hear(), "ERR a line is UTF-8\n");
            client.say("watch 100ms version\n");
            assert_eq!((client.hear().ends_with("OK\n"), client.hear().ends_with("OK\n")), (true, true));
            client.say("\n");
            let mut rest = client.ask("nonsense");
            while !rest.starts_with("ERR") {
                rest = client.hear();
            }
            client.say(&"x".repeat(5_000));
            assert_eq!(client.hear(), "ERR a line has 4 KiB at most\n");
            let others: Vec<_> = (0..8).map(|_| Client::connect(&socket)).collect();
            let mut last = String::new();
            // The client above has been left by now, or is about to be.
            let mut ninth = Client::connect(&socket);
            let _ = ninth.0.read_line(&mut last);
            assert!(last.starts_with("ERR eight clients"), "{last}");
            drop(others);
        })
        .await;
        supervisor.stop(Reason::Normal).await?;
        Ok::<(), Reason>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    assert!(!path.exists(), "the file is removed at the end");
}

#[test]
fn ob13_a_file_that_is_left_over_is_replaced() {
    let place = Place::new("stale");
    let path = place.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).expect("it can be bound"));
    assert!(path.exists(), "it is left over");
    let socket = path.clone();
    let reason = Config::new().run(async move {
        Console::new().listen(&socket).start_link()?;
        blocking(move || assert!(Client::connect(&socket).ask("names").ends_with("OK\n"))).await;
        Ok::<(), std::io::Error>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    assert!(!path.exists(), "the file is removed at the end");
}

#[test]
fn ob13_a_program_whose_workers_are_all_stuck_is_shown() {
    let place = Place::new("stuck");
    let path = place.socket();
    let goes_on = Arc::new(AtomicBool::new(false));
    let (socket, ends) = (path.clone(), goes_on.clone());
    let looker = std::thread::spawn(move || {
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut client = Client::connect(&socket);
        while !client.ask("find stuck").contains("total: 4") {}
        let mut slowest = Duration::ZERO;
        for command in ["tree", "top mailbox 10", "find stuck", "names", "servers", "crashes", "supervisors"]
        {
            let before = Instant::now();
            assert!(client.ask(command).ends_with("OK\n"), "{command}");
            slowest = slowest.max(before.elapsed());
        }
        let stuck = client.ask("json find stuck");
        let stuck: serde_json::Value = serde_json::from_str(stuck.lines().next().unwrap()).expect("JSON");
        let pid = stuck["rows"][0]["pid"].as_str().expect("a pid").to_owned();
        let asked = Instant::now();
        let refused = client.ask(&format!("inspect {pid}"));
        let took = asked.elapsed();
        ends.store(true, SeqCst);
        (slowest, refused, took)
    });
    let console = Console::new().listen(&path);
    let reason = Config::new().workers(2).run(async move {
        console.start_link()?;
        let stuck: Vec<_> = (0..4)
            .map(|_| {
                let goes_on = goes_on.clone();
                SpawnOptions::new().label("stuck").spawn(async move {
                    while !goes_on.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        riot_actor::process::join(&stuck).await;
        Ok::<(), std::io::Error>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
    let (slowest, refused, took) = looker.join().expect("it looks");
    assert_eq!(refused, "ERR no worker took the command within 2 s\n");
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    println!("the slowest answer took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn ob13_a_client_that_leaves_in_the_middle_harms_nothing() {
    let place = Place::new("leaves");
    let socket = place.socket();
    let reason = Config::new().run(async move {
        Console::new().listen(&socket).start_link()?;
        blocking(move || {
            for words in ["", "na", "names\n", "watch 100ms tree\n", "tree\ntree\ntree\n"] {
                for _ in 0..10 {
                    let mut client = Client::connect(&socket);
                    client.say(words);
                    drop(client);
                }
            }
            // Those that have left make room.
            while Client::connect(&socket).ask("names").starts_with("ERR") {}
        })
        .await;
        Ok::<(), std::io::Error>(())
    });
    assert_eq!(reason.expect("it runs"), Reason::Normal);
}
