//! may_minihttp: `may_minihttp --addr HOST:PORT --workers N`. The library writes `Server: M` and the date,
//! and does not support `Connection: close`.

use std::io::{self, Read};

use may_minihttp::{HttpServer, HttpService, Request, Response};

#[path = "../options.rs"]
mod options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Service;

impl HttpService for Service {
    fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        response.header("Content-Type: text/plain; charset=utf-8");
        match request.path() {
            "/plaintext" => response.body(options::HELLO),
            "/big" => response.body_mut().extend_from_slice(&options::BIG),
            "/echo" => {
                let mut body = Vec::new();
                request.body().read_to_end(&mut body)?;
                response.body_vec(body);
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

fn main() {
    let (address, workers) = options::options();
    may::config().set_workers(workers);
    HttpServer(Service)
        .start(address)
        .expect("the address is free")
        .join()
        .expect("it serves until it is killed");
}
