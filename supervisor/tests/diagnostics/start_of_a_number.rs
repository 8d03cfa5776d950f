// errors: 1
// first: a start function cannot return `u32` as its child
// says: the start function returns no process
// says: return the child's `Pid`, a reference such as `GenServerRef`

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

fn main() {
    run(async {
        Supervisor::one_for_one().child(worker("db", || async { Ok::<u32, Reason>(7) })).start_link().await?;
        ok()
    });
}
