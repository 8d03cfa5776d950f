//! A folder as a web site, with ranges and conditions, and a clock that pushes its time to the browser:
//! `cargo run --release --example site -- --addr 127.0.0.1:8080 --root .`.

use std::{sync::Arc, time::Duration};

use riot_actor::{Reason, run, time::interval};
use riot_http::{
    Event, FileError, Folder, IntoResponse, Request, Response, Server,
    http::{HeaderValue, Method, StatusCode, header},
};
use riot_socket::signals::Signals;

fn main() -> Reason {
    let argument = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    let address = argument("--addr").unwrap_or_else(|| "127.0.0.1:8080".into());
    // Links out of the folder are not followed: what it holds may come from others.
    let folder =
        Folder::new(argument("--root").unwrap_or_else(|| ".".into())).well_known().inner_links_only();
    run(serve(address, Arc::new(folder)))
}

async fn serve(address: String, folder: Arc<Folder>) -> Result<(), Reason> {
    let mut signals = Signals::new()?;
    let service = move |request: Request| answer(request, folder.clone());
    let server = Server::bind(address)?.service(service).start_link().await?;
    println!("listening on http://{}", server.local_addr());
    signals.next().await?;
    server.stop(Duration::from_secs(5)).await;
    Ok(())
}

async fn answer(request: Request, folder: Arc<Folder>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = HeaderValue::from_static("GET, HEAD");
        return Response::new(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, allow);
    }
    match request.path() {
        "/clock" => Response::html(CLOCK),
        "/clock/events" => ticks(),
        _ => page(&request, &folder).unwrap_or_else(FileError::into_response),
    }
}

fn page(request: &Request, folder: &Folder) -> Result<Response, FileError> {
    let path = folder.path(request.path()).ok_or(FileError::NotFound(None))?;
    match request.path().ends_with('/') {
        true => folder.file_at(request.head(), &path.join("index.html")),
        false => folder.file_at(request.head(), &path),
    }
}

/// Sends one second after the other, until the browser disconnects.
fn ticks() -> Response {
    Response::events(|mut events| async move {
        let mut seconds = interval(Duration::from_secs(1));
        for number in 0_u64.. {
            if events.send(Event::new(format!("{number} seconds")).event("tick")).await.is_err() {
                return;
            }
            seconds.tick().await;
        }
    })
}

const CLOCK: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>clock</title>
<p id="clock">not yet</p>
<script>
  const events = new EventSource("/clock/events");
  events.addEventListener("tick", (event) => document.getElementById("clock").textContent = event.data);
</script>
"#;
