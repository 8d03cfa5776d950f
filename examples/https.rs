//! A web server over TLS: `https ADDRESS [CHAIN.pem KEY.pem]`. By default it makes a certificate of its own,
//! which only `curl --insecure` accepts. SIGTERM and SIGINT stop it in order.
//!
//! `cargo run --release --example https`, then `curl --insecure https://127.0.0.1:8443/`.

use std::{env, error::Error, io, time::Duration};

use riot_actor::{Reason, run};
use riot_http::{Response, Server};
use riot_socket::{
    signals::Signals,
    tls::{Certificate, Tls},
};

fn main() -> Reason {
    run(async {
        riot_actor::log::start(io::stderr())?;
        let mut signals = Signals::new()?;
        let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8443".into());
        let server = Server::bind(address)?
            .tls(Tls::new(certificate().map_err(|error| Reason::other(error.to_string()))?))
            .service(|request| async move {
                Response::text(format!("hello over TLS from {}\n", request.target()))
            })
            .start_link()
            .await?;
        println!("serving on https://{}", server.local_addr());
        tracing::info!("{} came", signals.next().await?);
        server.stop(Duration::from_secs(5)).await;
        Ok::<(), Reason>(())
    })
}

fn certificate() -> Result<Certificate, Box<dyn Error>> {
    if let (Some(chain), Some(key)) = (env::args().nth(2), env::args().nth(3)) {
        return Ok(Certificate::load(chain, key)?);
    }
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    Ok(Certificate::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())?)
}
