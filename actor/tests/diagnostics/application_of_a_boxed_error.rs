// errors: 1
// first: `Box<(dyn std::error::Error + 'static)>` cannot be the error of a process
// says: this error is not `Send + Sync
// says: a `Box<dyn Error>` becomes one with `.map_err

use riot_actor::prelude::*;

use std::error::Error;

async fn start() -> Result<Pid, Box<dyn Error>> {
    Ok(spawn_link(async {}))
}

fn main() {
    drop(Application::new("shop", start));
}
