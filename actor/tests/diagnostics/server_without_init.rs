// errors: 1
// first: not all trait items implemented, missing: `init`

use riot_actor::prelude::*;

struct Counter;

impl GenServer for Counter {
    type Args = ();
}

fn main() {}
