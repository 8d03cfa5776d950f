// errors: 1
// first: `Box<(dyn std::error::Error + 'static)>` cannot be the error of a process
// says: this error is not `Send + Sync
// says: a `Box<dyn Error>` becomes one with `.map_err

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

async fn start() -> Result<Pid, Box<dyn std::error::Error>> {
    Ok(spawn_link(async {}))
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(worker("db", start)).start_link().await?;
        ok()
    });
}
