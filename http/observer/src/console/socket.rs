//! The socket of the console, and the threads that serve it.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::commands::{ConsoleReply, Interpreter, duration};

/// Bounds the clients at once; 8.
const MAX_CLIENTS: usize = 8;

/// Bounds the bytes of a line; 4 KiB.
const MAX_LINE_BYTES: u64 = 4 * 1024;

/// The time after which a silent client is left; 10 min. Sending to it is bounded by 10 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket. Dropped, it is closed, and its file removed.
pub(super) struct ConsoleSocket {
    listener: Arc<UnixListener>,
    is_closed: Arc<AtomicBool>,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Binds the path and serves it.
    pub(super) fn bind(path: &Path, interpreter: Interpreter) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if UnixStream::connect(path).is_ok() {
                    return Err(io::Error::new(ErrorKind::AddrInUse, "another program serves this console"));
                }
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        // A client that connects before this is still asked for its uid.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let socket = Self { listener: Arc::new(listener), is_closed: Arc::default(), path: path.to_owned() };
        let (listener, is_closed) = (socket.listener.clone(), socket.is_closed.clone());
        thread::Builder::new()
            .name("riot-console".to_owned())
            .spawn(move || accept(&listener, &is_closed, &interpreter))?;
        Ok(socket)
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        self.is_closed.store(true, SeqCst);
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, is_closed: &AtomicBool, interpreter: &Interpreter) {
    let clients = Arc::new(AtomicUsize::new(0));
    while !is_closed.load(SeqCst) {
        let Ok((mut client, _)) = listener.accept() else {
            // The socket is closed, or the program has run out of descriptors.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_trusted(&client) {
            continue;
        }
        if clients.fetch_add(1, SeqCst) >= MAX_CLIENTS {
            clients.fetch_sub(1, SeqCst);
            let _ = client.write_all(b"ERR eight clients are served already\n");
            continue;
        }
        let (interpreter, clients) = (interpreter.clone(), clients.clone());
        let serving = thread::Builder::new().name("riot-console".to_owned()).spawn({
            let clients = clients.clone();
            move || {
                let _ = serve(&client, &interpreter);
                clients.fetch_sub(1, SeqCst);
            }
        });
        if serving.is_err() {
            clients.fetch_sub(1, SeqCst);
        }
    }
}

/// Returns whether the peer has the uid of this program, or is root.
fn is_trusted(client: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(client).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}

/// Serves a client until it leaves.
fn serve(client: &UnixStream, interpreter: &Interpreter) -> io::Result<()> {
    client.set_write_timeout(Some(SEND_TIMEOUT))?;
    let mut reader = BufReader::new(client);
    loop {
        client.set_read_timeout(Some(IDLE_TIMEOUT))?;
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE_BYTES {
            send(client, "ERR a line has 4 KiB at most\n")?;
            return Ok(());
        }
        let Ok(line) = str::from_utf8(&line) else {
            send(client, "ERR a line is UTF-8\n")?;
            continue;
        };
        match line.trim().strip_prefix("watch ").map(str::trim_start) {
            Some(watched) => watch(client, &mut reader, interpreter, watched)?,
            None => send(client, &answer(interpreter, line))?,
        }
    }
}

/// Repeats a command until the client sends a line.
fn watch(
    client: &UnixStream,
    reader: &mut BufReader<&UnixStream>,
    interpreter: &Interpreter,
    watched: &str,
) -> io::Result<()> {
    let (interval, command) = watched.split_once(' ').unwrap_or((watched, ""));
    let interval = match duration(interval) {
        Ok(interval) => interval.max(Duration::from_millis(100)),
        Err(wrong) => return send(client, &format!("ERR {wrong}\n")),
    };
    client.set_read_timeout(Some(interval))?;
    loop {
        let answered = answer(interpreter, command);
        send(client, &answered)?;
        if answered.starts_with("ERR ") {
            return Ok(());
        }
        let mut line = Vec::new();
        match reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
}

fn send(mut client: &UnixStream, text: &str) -> io::Result<()> {
    client.write_all(text.as_bytes())
}

/// Returns the answer to a line.
fn answer(interpreter: &Interpreter, line: &str) -> String {
    let is_json = line.trim_start().starts_with("json ");
    let result = interpreter.execute(line).now().unwrap_or_else(|(execution, bound)| {
        let (tell, told) = mpsc::channel();
        interpreter.handle.spawn(async move { drop(tell.send(execution.finish().await)) });
        let told = told.recv_timeout(bound + Duration::from_millis(100));
        told.unwrap_or_else(|_| Err("no worker took the command within 2 s".to_owned()))
    });
    match result {
        Ok(reply) if is_json => format!("{}\nOK\n", reply.json()),
        Ok(reply) => text_of(&reply),
        Err(wrong) => format!("ERR {wrong}\n"),
    }
}

fn text_of(reply: &ConsoleReply) -> String {
    let lines: String = reply.lines().into_iter().map(|line| line + "\n").collect();
    lines + "OK\n"
}
