//! The program `axum_postgres` with a real database, which is disturbed in every way.

mod common;

use std::{
    fs::{self, File},
    io::Read,
    net::TcpStream,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use common::{Answer, Example, Postgres, ask, send, send_signal, until};
use sqlx::{Connection, PgConnection};

/// A running program with its database.
struct Setting {
    // Dropped first.
    program: Example,
    log: PathBuf,
    database: Postgres,
}

impl Setting {
    fn new() -> Option<Self> {
        let database = Postgres::start()?;
        let log = PathBuf::from(database.folder()).join("log");
        let arguments = ["--addr", "127.0.0.1:0", "--database", &database.url()];
        let file = File::create(&log).expect("the folder is there");
        let program = Example::start_logging_to(file.into(), "axum_postgres", &arguments);
        Some(Self { program, log, database })
    }

    fn ask(&self, line: &str, body: &str) -> Answer {
        ask(&self.program.address, line, body)
    }

    /// Stops the program in order, and returns its log.
    fn stop(self) -> String {
        self.program.signal("-TERM");
        assert_eq!(self.program.end_unread(), Some(0));
        fs::read_to_string(&self.log).expect("the log is text")
    }

    /// Has the pool use as many connections as it may.
    fn fill_pool(&self) {
        let list = || (0..20).for_each(|_| assert_eq!(self.ask("GET /notes", "").0, 200));
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(list))));
    }
}

/// Runs something with a connection to the database.
fn with_connection<T>(database: &Postgres, run: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> T {
    let url = database.url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let run = async { run(&mut PgConnection::connect(&url).await?).await };
    runtime.block_on(run).expect("the database answers")
}

/// Locks the table, and sends a request that waits for the lock.
async fn post_and_wait_for_the_lock(
    address: &str,
    database: &Postgres,
    lock: &mut PgConnection,
) -> sqlx::Result<TcpStream> {
    sqlx::query("LOCK TABLE notes").execute(lock).await?;
    let waiting = send(address, "POST /notes", "late");
    // Asked outside of the transaction, whose view of the activity does not change.
    let mut other = PgConnection::connect(&database.url()).await?;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut other).await? == 0 {}
    other.close().await?;
    Ok(waiting)
}

fn assert_away(address: &str) {
    let began = Instant::now();
    assert_eq!(ask(address, "GET /notes", ""), Answer(503, "the database is away\n".into()));
    // A second is the pool's limit; the rest is for a machine that does other things as well.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn xp02_notes_are_made_read_changed_and_removed() {
    let Some(setting) = Setting::new() else { return };
    let ask = |line: &str, body: &str| setting.ask(line, body);
    let json = |status, json: &str| Answer(status, json.into());
    assert_eq!(ask("GET /notes", ""), json(200, "[]"));
    assert_eq!(ask("POST /notes", "buy milk"), json(201, r#"{"id":1,"text":"buy milk"}"#));
    assert_eq!(
        ask("POST /notes", "\"; DROP TABLE notes; --"),
        json(201, r#"{"id":2,"text":"\"; DROP TABLE notes; --"}"#)
    );
    assert_eq!(ask("GET /notes/1", ""), json(200, r#"{"id":1,"text":"buy milk"}"#));
    assert_eq!(ask("PUT /notes/1", "buy tea"), json(200, r#"{"id":1,"text":"buy tea"}"#));
    assert_eq!(ask("DELETE /notes/2", ""), json(200, r#"{"id":2,"text":"\"; DROP TABLE notes; --"}"#));
    assert_eq!(ask("GET /notes", "").1.replace(' ', ""), r#"[{"id":1,"text":"buytea"}]"#);
    for line in
        ["GET /notes/2", "PUT /notes/2", "DELETE /notes/2", "GET /notes/-1", "GET /notes/9223372036854775807"]
    {
        assert_eq!(ask(line, "text"), Answer(404, "there is no such note\n".into()), "{line}");
    }
    for text in ["", "a\0b", &"x".repeat(1001)] {
        assert_eq!(ask("POST /notes", text), Answer(422, "a note has 1 to 1000 letters\n".into()));
        assert_eq!(ask("PUT /notes/1", text).0, 422);
    }
    assert_eq!(ask("POST /notes", &"ü".repeat(1000)).0, 201);
    for line in ["GET /notes/x", "GET /notes/9223372036854775808", "GET /notes/1%00"] {
        assert_eq!(ask(line, "").0, 400, "{line}");
    }
    assert_eq!(ask("POST /notes", &"x".repeat(3 << 20)).0, 413);
    assert_eq!(ask("PATCH /notes", "").0, 405);
    assert_eq!(ask("GET /", "").0, 404);
    let log = setting.stop();
    assert!(log.lines().count() == 1 && log.contains(" drained in "), "no request is worth a line: {log}");
}

#[test]
fn xp02_connections_that_the_database_ends_are_replaced() {
    let Some(setting) = Setting::new() else { return };
    for _ in 0..3 {
        setting.fill_pool();
        // Waits until each has ended.
        let end = "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let ended: i64 = with_connection(&setting.database, async |connection| {
            sqlx::query_scalar(end).fetch_one(connection).await
        });
        assert!(ended > 0, "the pool keeps its connections");
        (0..10).for_each(|_| assert_eq!(setting.ask("GET /notes", "").0, 200));
    }
    let log = setting.stop();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

/// Stops the database for a while. Eight clients ask all the time, so that the pool uses all it may.
fn outage(signal: &str, length: Duration) {
    let Some(Setting { program, log, mut database }) = Setting::new() else { return };
    let address = &program.address;
    assert_eq!(ask(address, "POST /notes", "kept").0, 201);
    let is_over = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let ask_on = || {
            let mut asked = 0;
            while !is_over.load(SeqCst) {
                let status = ask(address, "GET /notes", "").0;
                assert!(matches!(status, 200 | 503), "{status}");
                asked += 1;
            }
            asked
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask_on)).collect();
        until("the pool is warm", || ask(address, "GET /notes", "").0 == 200);
        database.stop(signal);
        let began = Instant::now();
        while began.elapsed() < length {
            assert_away(address);
        }
        database.resume();
        assert_eq!(ask(address, "GET /notes", ""), Answer(200, r#"[{"id":1,"text":"kept"}]"#.into()));
        is_over.store(true, SeqCst);
        clients.into_iter().map(|client| client.join().expect("only expected answers")).sum::<usize>()
    });
    let setting = Setting { program, log, database };
    let mut log = setting.stop();
    // A machine that does other things as well may stop this program for a while.
    log = log.split_inclusive('\n').filter(|line| !line.contains("riot::scheduler")).collect();
    println!("{asked} requests in {length:?}, {} lines:\n{log}", log.lines().count());
    assert!(log.lines().count() <= 12, "{log}");
    assert!(log.contains("the database is away: ") && log.contains("the database is back"), "{log}");
}

#[test]
fn xp02_while_the_database_is_stopped_for_5_s_answers_are_503_and_after_it_200() {
    outage("-INT", Duration::from_secs(5));
}

#[test]
fn xp02_while_the_database_has_crashed_answers_are_503_and_after_it_200() {
    outage("-QUIT", Duration::from_secs(1));
}

/// Stops the processes of a database where they are, and lets them go on when it is dropped.
struct Hung<'a>(&'a Postgres, Vec<i32>);

impl<'a> Hung<'a> {
    fn new(database: &'a Postgres) -> Self {
        let sessions = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let mut sessions: Vec<i32> = with_connection(database, async |connection| {
            sqlx::query_scalar(sessions).fetch_all(connection).await
        });
        // That which made the list has ended, or ends at once.
        sessions.retain(|pid| send_signal(pid, "-STOP"));
        database.signal("-STOP");
        Self(database, sessions)
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        self.0.signal("-CONT");
        self.1.retain(|pid| send_signal(pid, "-CONT"));
    }
}

#[test]
fn xp02_a_database_that_hangs_costs_a_second() {
    let Some(setting) = Setting::new() else { return };
    assert_eq!(setting.ask("GET /notes", "").0, 200);
    let hung = Hung::new(&setting.database);
    for _ in 0..3 {
        assert_away(&setting.program.address);
    }
    drop(hung);
    until("the database is back", || setting.ask("GET /notes", "").0 == 200);
    let log = setting.stop();
    assert!((2..=12).contains(&log.lines().count()), "{log}");
}

#[test]
fn xp02_a_database_that_hangs_does_not_keep_the_program_from_its_end() {
    let Some(Setting { mut program, database, .. }) = Setting::new() else { return };
    let address = program.address.clone();
    with_connection(&database, async |connection| {
        let mut lock = connection.begin().await?;
        let mut waiting = post_and_wait_for_the_lock(&address, &database, &mut lock).await?;
        let hung = thread::scope(|scope| scope.spawn(|| Hung::new(&database)).join().expect("no panic"));
        program.signal("-TERM");
        // After the time limit of the request.
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).expect("a response");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        // The output ends with the program, while the database hangs.
        program.output.read_to_string(&mut answer).expect("text");
        assert_eq!(program.child.wait().expect("the program ends").code(), Some(0));
        drop(hung);
        lock.rollback().await
    });
}

#[test]
fn xp02_a_request_is_answered_after_sigterm() {
    let Some(setting) = Setting::new() else { return };
    let program = &setting.program;
    let mut waiting = with_connection(&setting.database, async |connection| {
        let mut lock = connection.begin().await?;
        let waiting = post_and_wait_for_the_lock(&program.address, &setting.database, &mut lock).await?;
        program.signal("-TERM");
        until("the program accepts no more clients", || TcpStream::connect(&program.address).is_err());
        lock.commit().await?;
        Ok(waiting)
    });
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("a response");
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.ends_with(r#"{"id":1,"text":"late"}"#), "{answer}");
    assert_eq!(setting.program.end_unread(), Some(0));
}

#[test]
fn xp02_a_program_without_a_database_ends_with_the_cause() {
    let mut program = Command::new(common::example::path("axum_postgres"));
    program.args(["--addr", "127.0.0.1:0", "--database", "postgres:///postgres?host=/nonexistent"]);
    let output = program.output().expect("the program starts");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("No such file or directory"), "{log}");
    for arguments in [["--what", "x"], ["--addr", "nonsense"]] {
        let mut program = Command::new(common::example::path("axum_postgres"));
        let code = program.args(arguments).output().expect("the program starts").status.code();
        assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {code:?}");
    }
}
