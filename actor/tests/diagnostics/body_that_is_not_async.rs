// errors: 1
// first: `()` is not a future

use riot_actor::prelude::*;

fn worker() {}

fn main() {
    run(async {
        spawn(worker());
    });
}
