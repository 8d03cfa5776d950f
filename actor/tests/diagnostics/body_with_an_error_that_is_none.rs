// errors: 1
// first: `Failure` cannot be the error of a process
// says: this error is not `Send + Sync
// says: a `Box<dyn Error>` becomes one with `.map_err

use riot_actor::prelude::*;

#[derive(Debug)]
enum Failure {
    Disk,
}

fn main() {
    run(async { Err::<(), _>(Failure::Disk) });
}
