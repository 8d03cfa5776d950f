// errors: 1
// first: the trait bound `ChildId: From<{float}>` is not satisfied

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, process};

fn main() {
    run(async {
        Supervisor::one_for_one().child(process(1.5, || async {})).start_link().await?;
        ok()
    });
}
