//! Services and handlers as users write them, each without a type that the compiler can infer.
#![cfg(feature = "driver")]

use riot_http::{
    HandlerError, Reqd, Request, Response, Server, Service, Serving,
    actor::{Reason, ok, simulation::Simulation},
    http::StatusCode,
    service,
    socket::memory::Listener,
};

struct Greeter(&'static str);

impl Service for Greeter {
    type Response = &'static str;
    async fn call(&self, _: Request) -> &'static str {
        self.0
    }
}

async fn echo(request: Request) -> Result<String, StatusCode> {
    Ok(request.target().to_owned())
}

async fn answer(reqd: Reqd) -> Result<(), HandlerError> {
    let target = reqd.request().target().to_owned();
    reqd.respond_with_string(Response::ok(), target)?;
    Ok(())
}

/// Asks a server for `/a`, and returns the body of its response.
async fn ask(give: impl FnOnce(Server) -> Serving) -> Result<String, Reason> {
    let listener = Listener::new();
    let server = give(Server::listen(listener.clone())).start_link().await?;
    let mut client = listener.connect()?;
    client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    let response = String::from_utf8_lossy(&client.read_to_end(10_000).await?).into_owned();
    server.stop(std::time::Duration::ZERO).await;
    Ok(response.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
}

#[test]
fn dg07_the_request_of_a_service_is_inferred() {
    let reason = Simulation::new(1).run(async {
        let text = |target: &str| Response::text(target.to_owned());
        assert_eq!(
            ask(|server| server.service(move |request| async move { text(request.target()) })).await?,
            "/a"
        );
        assert_eq!(
            ask(|server| server.service(async |request| Response::text(request.target().to_owned()))).await?,
            "/a"
        );
        assert_eq!(ask(|server| server.service(|_| async { "any" })).await?, "any");
        assert_eq!(ask(|server| server.service(echo)).await?, "/a");
        ok()
    });
    assert_eq!(reason, Reason::Normal);
}

#[test]
fn dg07_a_type_that_is_a_service_becomes_a_handler() {
    let reason = Simulation::new(1).run(async {
        assert_eq!(ask(|server| server.handler(service(Greeter("hello")))).await?, "hello");
        assert_eq!(ask(|server| server.handler(service(echo))).await?, "/a");
        assert_eq!(ask(|server| server.handler(answer)).await?, "/a");
        ok()
    });
    assert_eq!(reason, Reason::Normal);
}
