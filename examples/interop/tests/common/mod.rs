//! The peers that the tests start: PostgreSQL, Redis and the programs of this folder.
#![allow(unreachable_pub, dead_code, reason = "shared by several crates, each of which uses its own part")]

#[path = "../../../tests/common/mod.rs"]
pub mod example;

use std::{
    cmp::Reverse,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

pub use example::{Example, send_signal};

/// How long a peer may take for anything, on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Says loudly that the running test checks nothing: also where the output of tests that pass is left out.
pub fn skip(missing: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {missing} is not installed");
}

/// Waits until a condition holds that has no event. The condition itself takes time, such as a request.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for this: {what}");
        thread::yield_now();
    }
}

/// Returns the path of a program: in `PATH`, or beside PostgreSQL's other programs, the newest first.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path()).collect();
    let number = |folder: &PathBuf| folder.file_name()?.to_str()?.split('.').next()?.parse().ok();
    folders.sort_by_key(|folder| Reverse(number(folder).unwrap_or(0_u32)));
    let folders = folders.into_iter().map(|folder| folder.join("bin"));
    std::env::split_paths(&path).chain(folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns the user and the group that a peer runs as: PostgreSQL refuses to run as root.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    is_root.then(|| id("postgres").or_else(|| id("nobody")).expect("a system has an unprivileged user"))
}

/// A folder of a peer's own, removed when dropped. Its path is short: that of a Unix socket has 107 bytes.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("riot-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the folder is new");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A database server that listens on a Unix socket alone; it is killed when this is dropped.
pub struct Postgres {
    server: Option<Child>,
    program: PathBuf,
    user: Option<(u32, u32)>,
    folder: Folder,
}

impl Postgres {
    /// Makes a database and starts its server; `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let (Some(initdb), Some(program)) = (find("initdb"), find("postgres")) else {
            skip("PostgreSQL");
            return None;
        };
        let mut this = Self { server: None, program, user: unprivileged(), folder: Folder::new() };
        if let Some((user, group)) = this.user {
            chown(&this.folder.0, Some(user), Some(group)).expect("root may do so");
        }
        let arguments = ["--no-sync", "--username=postgres", "--auth=trust", "--locale=C", "--encoding=UTF8"];
        let made = this.command(&initdb).args(arguments).arg("-D").arg(this.data()).output();
        let made = made.expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        this.resume();
        Some(this)
    }

    /// Starts the server, and waits until it is ready. It must have been stopped.
    pub fn resume(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let mut command = self.command(&self.program);
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder.0);
        for setting in ["listen_addresses=", "fsync=off", "max_connections=40", "shared_buffers=4MB"] {
            command.args(["-c", setting]);
        }
        let mut server = command.stderr(Stdio::piped()).spawn().expect("postgres starts");
        let log = server.stderr.take().expect("it is piped");
        self.server = Some(server);
        wait_until_ready(log);
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder.0).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: &str) {
        assert!(send_signal(self.server.as_ref().expect("the server runs").id(), signal));
    }

    /// Ends the server with a signal: `-INT` ends its sessions first, `-QUIT` and `-KILL` do not.
    pub fn stop(&mut self, signal: &str) {
        self.signal(signal);
        self.server.take().expect("it runs").wait().expect("it ends");
    }

    /// Returns the folder of its socket.
    pub fn folder(&self) -> &str {
        self.folder.0.to_str().expect("the path is UTF-8")
    }

    /// Returns its address as sqlx takes it.
    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=postgres", self.folder())
    }

    /// Returns its address as tokio-postgres takes it.
    pub fn settings(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.folder())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // A kill of the first process would leave the others to find that out.
            assert!(send_signal(server.id(), "-CONT") && send_signal(server.id(), "-QUIT"));
            let _ = server.wait();
        }
    }
}

/// Waits for the line of a log that says so. The log is read on after that, so that the server never waits.
fn wait_until_ready(log: impl Read + Send + 'static) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let (deadline, mut said) = (Instant::now() + PATIENCE, String::new());
    while !said.contains("eady to accept connections") {
        let line = told.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        said += &line.unwrap_or_else(|error| panic!("the server is not ready, {error}: {said}"));
        said += "\n";
    }
}

/// A Redis server that listens on a Unix socket alone; it is killed when this is dropped.
pub struct Redis {
    server: Option<Child>,
    folder: Folder,
}

impl Redis {
    /// Starts the server; `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        if find("redis-server").is_none() {
            skip("Redis");
            return None;
        }
        let mut this = Self { server: None, folder: Folder::new() };
        this.resume();
        Some(this)
    }

    /// Starts the server, which must have been stopped, and waits until it is ready.
    pub fn resume(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(self.socket())
            .current_dir(&self.folder.0);
        // Its log goes to the standard output.
        let mut server = command.stdout(Stdio::piped()).spawn().expect("redis-server starts");
        let log = server.stdout.take().expect("it is piped");
        self.server = Some(server);
        wait_until_ready(log);
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().expect("it runs");
        server.wait().expect("it ends");
    }

    fn socket(&self) -> PathBuf {
        self.folder.0.join("redis")
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
    }
}

/// A web server for the clients in handlers. Each path has its answer; a thread serves each connection.
pub struct Upstream {
    pub address: String,
    is_over: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Upstream {
    /// Starts the server on any port.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0")
    }

    /// Starts the server on an address, which may have been that of another before.
    pub fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("the listener is bound").to_string();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok).take_while(|_| !over.load(SeqCst)) {
                thread::spawn(move || serve(stream));
            }
        });
        Self { address, is_over, accepting: Some(accepting) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        let _ = TcpStream::connect(&self.address);
        self.accepting.take().expect("it is dropped once").join().expect("accepting does not panic");
    }
}

/// Answers one request, and closes.
fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut field) = (String::new(), String::from("-"));
    let _ = stream.read_line(&mut line);
    while !field.trim().is_empty() {
        field.clear();
        let _ = stream.read_line(&mut field);
    }
    let (status, body) = match line.split(' ').nth(1).unwrap_or_default() {
        // Answers never; the client ends this by closing.
        "/silent" => return drop(stream.read_to_end(&mut Vec::new())),
        "/reset" => return,
        "/short" => ("200 OK\r\ncontent-length: 1000", "short".into()),
        "/large" => ("200 OK", "x".repeat(3 << 20)),
        "/" => ("200 OK", "hello".to_owned()),
        _ => ("404 Not Found", "none".to_owned()),
    };
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
    let _ = stream.get_mut().write_all(answer.as_bytes());
}

/// A response: its status, and its body as text.
#[derive(Debug, PartialEq)]
pub struct Answer(pub u16, pub String);

/// Sends a request on a connection of its own, and reads the response.
pub fn ask(address: &str, line: &str, body: &str) -> Answer {
    let mut stream = send(address, line, body);
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {response:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer(status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}

/// Sends a request on a connection of its own, which ends with the response.
pub fn send(address: &str, line: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the program listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).expect("the request is sent");
    stream
}

/// Returns the names of the threads of a program.
pub fn threads(program: &Example) -> Vec<String> {
    let folder = format!("/proc/{}/task", program.child.id());
    let threads = fs::read_dir(folder).expect("the program runs").flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("comm")).unwrap_or_default()).collect()
}
