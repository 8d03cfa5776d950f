// errors: 1
// first: type annotations needed

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

fn main() {
    run(async {
        Supervisor::one_for_one()
            .child(worker("db", || async { Ok(spawn_link(async {})) }))
            .start_link()
            .await?;
        ok()
    });
}
