//! A tree of three levels, and what happens to it when a worker crashes: `cargo run --example
//! crash_and_restart`. Its log on the standard output tells the story; the program ends by itself.
//!
//! ```text
//! shop                    each child is restarted alone
//! ├── lamp
//! └── orders              a child is restarted with those after it; the third restart in 5 s is too much
//!     ├── stock
//!     └── desk            sells what is in stock, and panics when asked for a dragon
//! ```

use std::time::Duration;

use riot_actor::{
    Reason, call, call::CallRequest, exit, mailbox::receive_if, name::wait_for_name, process::tree, receive,
    register, run, this,
};
use riot_supervisor::{Supervisor, SupervisorEvent, SupervisorRef, process, supervisor};

struct Order(&'static str);

async fn desk() -> Result<(), Reason> {
    register("desk", this())?;
    loop {
        let order = receive::<CallRequest<Order, &'static str>>().await;
        match order.query {
            Order("dragon") => panic!("there are no dragons"),
            Order(thing) => order.reply.send(thing),
        }
    }
}

async fn stock() -> Result<(), Reason> {
    register("stock", this())?;
    std::future::pending().await
}

fn orders() -> Supervisor {
    Supervisor::rest_for_one()
        .name("orders")
        .label("orders")
        .intensity(2, Duration::from_secs(5))
        .child(process("stock", stock))
        .child(process("desk", desk))
}

/// Waits until a supervisor that we subscribed to reports the restart of a child.
async fn restarted(id: &'static str) {
    let is_it = |event: &SupervisorEvent| match event {
        SupervisorEvent::Restarted { id: which, .. } => *which == id.into(),
        _ => false,
    };
    receive_if(is_it).await;
}

async fn order(thing: &'static str) -> Result<(), Reason> {
    match call::<_, &str>(wait_for_name("desk", None).await?, Order(thing), None).await {
        Ok(thing) => println!("sold: {thing}"),
        Err(error) => println!("not sold: {error}"),
    }
    Ok(())
}

async fn story() -> Result<(), Reason> {
    let shop = Supervisor::one_for_one()
        .label("shop")
        .child(process("lamp", std::future::pending::<()>))
        .child(supervisor("orders", || orders().start_link()))
        .start_link()
        .await?;
    shop.subscribe().await?;
    SupervisorRef::new(wait_for_name("orders", None).await?).subscribe().await?;
    print!("{}", tree().find(shop.pid()).expect("it runs"));

    println!("\n-- a dragon is ordered: the desk crashes, and is restarted alone");
    order("dragon").await?;
    restarted("desk").await;
    order("teapot").await?;

    println!("\n-- the stock burns: the desk is of no use without, so both are restarted");
    exit(wait_for_name("stock", None).await?, Reason::other("fire"));
    restarted("desk").await;

    println!("\n-- another dragon is one crash too many: orders gives up, and the shop restarts all of it");
    order("dragon").await?;
    restarted("orders").await;
    print!("{}", tree().find(shop.pid()).expect("it runs"));

    println!("\n-- closing time: from the leaves, and from the right");
    shop.stop(Reason::Normal).await?;
    Ok(())
}

fn main() -> Reason {
    // This subscriber writes where an event happens, so that its lines stand in order with those of the
    // story. A server logs by `riot_actor::log::start`, which never waits for the terminal.
    tracing_subscriber::fmt().with_writer(std::io::stdout).without_time().with_ansi(false).init();
    run(story())
}
