//! curl, over TLS and over a Unix socket. Where it is not installed the test says so, and is skipped.
#![cfg(all(feature = "tls", target_os = "linux"))]

use std::{path::PathBuf, process::Command, time::Duration};

use riot_actor::{Reason, run, runtime::blocking};
use riot_http::{Request, Response, Server};
use riot_socket::tls::{Certificate, Tls};

/// A folder of a test's own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("riot-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("it is new");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn installed() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: curl is not installed");
    }
    found
}

async fn curl(arguments: Vec<String>) -> std::io::Result<(bool, Vec<u8>)> {
    let output = blocking(|| Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output());
    output.await.map(|output| (output.status.success(), output.stdout))
}

async fn greeting(request: Request) -> Response {
    Response::text(format!("hello {}", request.target()))
}

fn large(folder: &Folder) -> (PathBuf, Vec<u8>) {
    let contents: Vec<u8> = (0..5_000_000).map(|at| (at % 251) as u8).collect();
    let path = folder.0.join("large");
    std::fs::write(&path, &contents).expect("there is room");
    (path, contents)
}

#[test]
fn curl_over_tls_gets_answers_and_files() {
    if !installed() {
        return;
    }
    let folder = Folder::new("curl-tls");
    let (file, contents) = large(&folder);
    let roots = folder.0.join("roots.pem");
    let end = run(async move {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(&roots, made.cert.pem())?;
        let key = made.signing_key.serialize_pem();
        let tls = Tls::new(Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes())?);
        let service = move |request: Request| {
            let response = match request.target() {
                "/file" => Response::file(request.head(), &file).expect("it is there"),
                other => Response::text(format!("hello {other}")),
            };
            async move { response }
        };
        let server = Server::bind("127.0.0.1:0")?.tls(tls).service(service).start_link().await?;
        let port = server.local_addr().port();
        for version in ["1.2", "1.3"] {
            let get = |path: &str| {
                let url = format!("https://localhost:{port}{path}");
                let roots = roots.display().to_string();
                let resolve = format!("localhost:{port}:127.0.0.1");
                let arguments = ["--cacert", &roots, "--tls-max", version, "--resolve", &resolve, &url];
                curl(arguments.map(str::to_owned).into())
            };
            assert_eq!(get("/a").await?, (true, b"hello /a".to_vec()), "TLS {version}");
            assert!(get("/file").await? == (true, contents.clone()), "TLS {version}");
        }
        let stranger =
            curl(vec![format!("https://localhost:{port}/"), "--noproxy".into(), "*".into()]).await?;
        assert!(!stranger.0, "nobody trusts it unasked");
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    });
    assert_eq!(end, Reason::Normal);
}

#[test]
fn curl_over_a_unix_socket() {
    if !installed() {
        return;
    }
    let folder = Folder::new("curl-unix");
    let path = folder.0.join("socket");
    let end = run(async move {
        let server = Server::bind_unix(&path).service(greeting).start_link().await?;
        let socket = path.display().to_string();
        let arguments = ["--unix-socket", &socket, "http://localhost/one", "http://localhost/two"];
        let answer = curl(arguments.map(str::to_owned).into()).await?;
        assert_eq!(answer, (true, b"hello /onehello /two".to_vec()));
        server.stop(Duration::from_secs(5)).await;
        assert!(!path.exists());
        Ok::<(), Reason>(())
    });
    assert_eq!(end, Reason::Normal);
}
