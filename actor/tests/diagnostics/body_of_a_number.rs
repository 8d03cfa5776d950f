// errors: 1
// first: `{integer}` is not an outcome of a process
// says: the body of a process returns this
// says: a body returns `()`, a `Reason`, or a `Result`

use riot_actor::prelude::*;

fn main() {
    run(async {
        spawn(async { 42 });
    });
}
