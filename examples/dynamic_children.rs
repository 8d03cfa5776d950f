//! A pool of jobs: at most three at a time, each retried until it succeeds, and all of them given time to
//! stop in order: `cargo run --example dynamic_children`.

use std::time::Duration;

use riot_actor::{Exit, Reason, receive, run, trap_exit};
use riot_supervisor::{ChildSpec, StartChildError, Supervisor, SupervisorEvent, SupervisorRef, process};

/// Describes a job. A job ends normally when it is done, so it is a transient child: restarted only after a
/// crash.
fn job(number: u32) -> ChildSpec {
    let mut attempt = 0;
    let body = move || {
        attempt += 1;
        work(number, attempt)
    };
    process(number, body).transient()
}

async fn work(number: u32, attempt: u32) -> Result<(), Reason> {
    trap_exit(true);
    if number == 2 && attempt < 3 {
        return Err(Reason::other("the line was busy"));
    }
    let takes = if number < 7 { Duration::from_millis(20) } else { Duration::from_secs(3600) };
    riot_actor::receive! {
        asked: Exit => {
            println!("job {number} puts its work back");
            Err(asked.reason)
        }
        after takes => {
            println!("job {number} is done at attempt {attempt}");
            Ok(())
        }
    }
}

/// Waits until a job has ended for good.
async fn place_free() {
    loop {
        match receive::<SupervisorEvent>().await {
            SupervisorEvent::Ended { reason, .. } if reason.is_clean() => return,
            SupervisorEvent::Ended { id, reason, .. } => {
                println!("job {id} failed, and is tried again: {reason}")
            }
            _ => {}
        }
    }
}

async fn hand_out(pool: SupervisorRef, number: u32) -> Result<(), Reason> {
    loop {
        match pool.start_child(job(number)).await {
            Ok(_) => return Ok(()),
            Err(StartChildError::MaxChildren) => place_free().await,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn pool() -> Result<(), Reason> {
    let pool = Supervisor::dynamic()
        .max_children(3)
        .intensity(10, Duration::from_secs(1))
        .label("pool")
        .start_link()
        .await?;
    pool.subscribe().await?;
    for number in 1..=8 {
        hand_out(pool, number).await?;
    }
    while pool.count_children().await?.active > 2 {
        place_free().await;
    }
    println!("the last two would take an hour: stopping");
    pool.stop(Reason::Normal).await?;
    println!("all are gone");
    Ok(())
}

fn main() -> Reason {
    run(pool())
}
