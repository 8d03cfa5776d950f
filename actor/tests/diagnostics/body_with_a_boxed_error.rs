// errors: 1
// first: `Box<(dyn std::error::Error + 'static)>` cannot be the error of a process
// says: this error is not `Send + Sync
// says: a `Box<dyn Error>` becomes one with `.map_err

use riot_actor::prelude::*;

use std::error::Error;

async fn work() -> Result<(), Box<dyn Error>> {
    Ok(())
}

fn main() {
    run(work());
}
