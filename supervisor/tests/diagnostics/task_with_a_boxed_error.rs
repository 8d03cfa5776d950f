// errors: 1
// first: `Box<(dyn std::error::Error + 'static)>` cannot be the error of a process
// says: this error is not `Send + Sync

use std::error::Error;

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, task};

async fn clean() -> Result<(), Box<dyn Error>> {
    Ok(())
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(task("clean", clean)).start_link().await?;
        ok()
    });
}
