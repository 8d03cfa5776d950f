//! An actor of ractor that is restarted each time it fails: `ractor_restart BENCH N THREADS`, with the
//! command line of the example `process_bench`.
//!
//! ractor has no supervisors like OTP's: an actor is notified of the exits of its linked actors, and restarts
//! them with its own code. This program does the minimum, without restart intensity, child specs or order.

use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Failing {
    panics: bool,
}

struct Fail;

impl Actor for Failing {
    type Msg = Fail;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Fail>, (): ()) -> Result<(), ActorProcessingErr> {
        myself.send_message(Fail)?;
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Fail>, _: Fail, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self.panics {
            std::panic::panic_any("failed");
        }
        Err(Box::new(std::fmt::Error))
    }
}

struct Supervisor {
    panics: bool,
}

impl Actor for Supervisor {
    type Msg = ();
    /// The number of restarts left.
    type State = usize;
    type Arguments = usize;

    async fn pre_start(&self, myself: ActorRef<()>, restarts: usize) -> Result<usize, ActorProcessingErr> {
        Actor::spawn_linked(None, Failing { panics: self.panics }, (), myself.get_cell()).await?;
        Ok(restarts)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        left: &mut usize,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            if *left == 0 {
                myself.stop(None);
                return Ok(());
            }
            *left -= 1;
            Actor::spawn_linked(None, Failing { panics: self.panics }, (), myself.get_cell()).await?;
        }
        Ok(())
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().expect("a number"));
    let bench = arguments.first().cloned().expect("a bench");
    let (n, threads) = (number(1, 100_000), number(2, 1));
    let panics = match bench.as_str() {
        "restart" => false,
        "restartpanic" => true,
        _ => panic!("no such bench"),
    };
    // Printing the panic is not part of what is timed.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        tokio::spawn(async move {
            let start = Instant::now();
            let (_, end) = Actor::spawn(None, Supervisor { panics }, n).await.expect("it starts");
            end.await.expect("it stops");
            println!("{{\"ns\": {:.1}}}", start.elapsed().as_nanos() as f64 / n as f64);
        })
        .await
        .expect("it does not panic");
    });
}
