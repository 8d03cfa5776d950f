// errors: 1
// first: `Failure` cannot be the error of a process
// says: this error is not `Send + Sync + 'static`, or no error

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, worker};

enum Failure {
    Disk,
}

async fn start() -> Result<Pid, Failure> {
    Err(Failure::Disk)
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(worker("db", start)).start_link().await?;
        ok()
    });
}
