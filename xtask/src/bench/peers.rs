//! The servers that are compared, and how each is started.

use std::{env, ffi::OsString, fs, path::Path, process::Command};

use super::{build, system, workload::RequestKind};

pub(crate) const OURS: &str = "riot";

/// Peers built from crates, one program of `xtask/peers` each.
const BUILT: &[&str] = &["hyper", "axum", "actix_web", "ntex", "may_minihttp"];

const NGINX: &str = "nginx";

/// The peer on Erlang: `xtask/peers/otp/cowboy_peer.erl`.
const COWBOY: &str = "cowboy";

pub(crate) fn names() -> Vec<&'static str> {
    BUILT.iter().copied().chain([NGINX, COWBOY]).collect()
}

/// A server's program.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    path: String,
}

impl Program {
    /// Builds riot's server, then the peers that `wanted` selects. A peer that is not installed is left out
    /// with a message.
    pub(crate) fn all(wanted: impl Fn(&str) -> bool) -> Result<Vec<Self>, String> {
        let ours = build::example("conformance_server")?;
        let mut programs = vec![Self { name: OURS, path: ours.to_string_lossy().into_owned() }];
        for &name in BUILT.iter().filter(|name| wanted(name)) {
            programs.push(Self { name, path: build::peer(name)?.to_string_lossy().into_owned() });
        }
        for (name, path, installed) in [
            (NGINX, NGINX, system::installed(NGINX)),
            (COWBOY, "escript", system::installed("escript") && erlang_libraries().is_some()),
        ] {
            if wanted(name) && installed {
                programs.push(Self { name, path: path.into() });
            } else if wanted(name) {
                eprintln!("{name} is not installed and left out");
            }
        }
        Ok(programs)
    }

    /// Returns whether callgrind can count in it: Erlang's virtual machine compiles code while it runs.
    pub(crate) fn can_be_counted(&self) -> bool {
        self.name != COWBOY
    }

    /// Returns whether it can answer such requests: nginx cannot echo.
    pub(crate) fn answers(&self, kind: RequestKind) -> bool {
        self.name != NGINX || !matches!(kind, RequestKind::Echo(_))
    }

    /// Returns the command that serves on `port` of the loopback interface.
    pub(crate) fn command(
        &self,
        port: u16,
        workers: usize,
        launcher: Launcher<'_>,
    ) -> Result<Command, String> {
        let mut command = match launcher {
            Launcher::Core(core) => system::pinned(core, &self.path),
            Launcher::Program(words) => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]).arg(&self.path);
                command
            }
        };
        match self.name {
            NGINX => {
                let folder = build::results().join("nginx");
                configure(&folder, port, workers)
                    .map_err(|error| format!("{}: {error}", folder.display()))?;
                command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "error.log"]);
            }
            COWBOY => {
                command.arg(build::root().join("xtask/peers/otp/cowboy_peer.erl")).arg(port.to_string());
                command.env("ERL_FLAGS", format!("+S {workers}:{workers}"));
                command.envs(erlang_libraries().map(|paths| ("ERL_LIBS", paths)));
            }
            _ => {
                command.args(["--addr", &format!("127.0.0.1:{port}"), "--workers", &workers.to_string()]);
            }
        }
        Ok(command)
    }
}

/// Returns a value of `ERL_LIBS` with Cowboy in it: the environment's, or the folder of Debian's package of
/// RabbitMQ.
fn erlang_libraries() -> Option<OsString> {
    let packaged = fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let packaged = packaged.map(|entry| entry.path().join("plugins").into_os_string());
    let has_cowboy = |paths: &OsString| env::split_paths(paths).any(|folder| has_library(&folder, "cowboy"));
    env::var_os("ERL_LIBS").into_iter().chain(packaged).find(has_cowboy)
}

/// Returns whether a folder has a library, with or without its version in the name.
fn has_library(folder: &Path, library: &str) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().split('-').next() == Some(library))
}

/// The way in which a server is started.
#[derive(Clone, Copy)]
pub(crate) enum Launcher<'a> {
    /// Directly, pinned to a core if one is given.
    Core(Option<usize>),
    /// By another program; its name and arguments.
    Program(&'a [&'a str]),
}

/// Writes nginx's configuration and files into `folder`.
fn configure(folder: &Path, port: u16, workers: usize) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("big"), [b'x'; 65_536])?;
    fs::write(
        folder.join("nginx.conf"),
        configuration(folder, port, workers, rustix::process::getuid().is_root()),
    )
}

/// With one worker nginx runs as one process, without a master.
fn configuration(folder: &Path, port: u16, workers: usize, root: bool) -> String {
    let folder = folder.display();
    let user = if root { "user root;" } else { "" };
    let master = if workers == 1 { "master_process off;" } else { "" };
    format!(
        "{user} {master} worker_processes {workers};
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off; keepalive_requests 1000000000; tcp_nodelay on; sendfile on; open_file_cache max=10;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /plaintext {{ return 200 \"Hello, World!\"; }}
        location = /big {{ root {folder}; }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_nginx_has_port_workers_and_folder() {
        let text = configuration(Path::new("/some/folder"), 8080, 2, false);
        assert!(text.contains("listen 127.0.0.1:8080 ") && text.contains("worker_processes 2;"));
        assert!(text.contains("pid /some/folder/pid;") && !text.contains("user") && !text.contains("master"));
        assert!(configuration(Path::new("/"), 1, 1, true).starts_with("user root; master_process off;"));
    }

    #[test]
    fn every_peer_has_a_program() {
        for name in BUILT {
            let source = build::root().join(format!("xtask/peers/src/bin/{name}.rs"));
            assert!(source.is_file(), "{}", source.display());
        }
        assert!(build::root().join("xtask/peers/otp/cowboy_peer.erl").is_file());
    }
}
