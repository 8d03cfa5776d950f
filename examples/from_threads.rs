//! Processes reached from plain threads and from another executor.
//! `cargo run --release --example from_threads`.
//!
//! The main thread of this program belongs to itself, as one of a user interface or of tokio does: the
//! runtime is started beside it. Threads ask a server, run processes, and wait for their ends. It prints what
//! they were told.

use std::{error::Error, thread, time::Duration};

use riot_actor::{
    Reason,
    gen_server::{Call, Cast, GenServer, GenServerRef, Stop},
    runtime::{Config, Handle},
};

/// The stock of a shop.
struct Shop {
    apples: u32,
}

struct Buy(u32);
struct Deliver(u32);

impl GenServer for Shop {
    type Args = u32;
    async fn init(apples: u32) -> Result<Self, Stop> {
        Ok(Self { apples })
    }
}

impl Call<Buy> for Shop {
    type Reply = Result<u32, &'static str>;
    async fn call(&mut self, Buy(count): Buy) -> Self::Reply {
        self.apples = self.apples.checked_sub(count).ok_or("sold out")?;
        Ok(self.apples)
    }
}

impl Cast<Deliver> for Shop {
    async fn cast(&mut self, Deliver(count): Deliver) {
        self.apples += count;
    }
}

/// Buys until the shop is sold out, on a thread that may block.
fn customer(name: &str, handle: &Handle, shop: GenServerRef<Shop>) {
    loop {
        match handle.call_server(shop, Buy(2)).wait() {
            Ok(Ok(left)) => println!("{name} bought two, {left} are left"),
            Ok(Err(reason)) => return println!("{name} leaves: {reason}"),
            Err(error) => return println!("{name} gets no answer: {error}"),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let running = Config::new().start(std::future::pending::<()>())?;
    let handle = running.handle().clone();
    let shop = handle.run(Shop::start(4)).wait()??;
    thread::scope(|scope| {
        for name in ["Ann", "Bob"] {
            let handle = &handle;
            scope.spawn(move || customer(name, handle, shop));
        }
    });
    handle.cast(shop, Deliver(1));
    // Any executor may await a reply; here it is one of the simplest.
    println!("one is left: {:?}", futures_lite::future::block_on(handle.call_server(shop, Buy(1))));
    // What only a process can do is done by one.
    let slept = handle.run(async { riot_actor::sleep(Duration::from_millis(1)).await });
    slept.wait()?;
    let end = handle.wait(shop.pid());
    handle.exit(shop.pid(), Reason::Shutdown);
    println!("the shop has closed: {}", end.wait()?);
    handle.shutdown(Reason::Normal);
    println!("the runtime has ended: {}", running.wait()?);
    Ok(())
}
