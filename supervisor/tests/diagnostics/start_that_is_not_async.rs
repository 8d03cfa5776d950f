// errors: 1
// first: `riot_actor::Pid` is not a future

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

fn main() {
    run(async {
        Supervisor::one_for_one().child(worker("db", || spawn_link(async {}))).start_link().await?;
        ok()
    });
}
