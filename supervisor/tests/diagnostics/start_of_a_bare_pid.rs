// errors: 1
// first: to be a future that resolves to `Result<_, _>`, but it resolves to `Pid`
// says: expected `Result<_, _>`, found `Pid`

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

fn main() {
    run(async {
        Supervisor::one_for_one().child(worker("db", || async { spawn_link(async {}) })).start_link().await?;
        ok()
    });
}
