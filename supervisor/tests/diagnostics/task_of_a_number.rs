// errors: 1
// first: `{integer}` is not an outcome of a process
// says: the body of a process returns this
// says: a body returns `()`, a `Reason`, or a `Result`

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, task};

fn main() {
    run(async {
        Supervisor::one_for_one().child(task("answer", || async { 42 })).start_link().await?;
        ok()
    });
}
