// errors: 1
// first: expected `impl Future<Output = Result<Counter, String>>` to be a future that resolves to
// first: `Result<Counter, Stop>`, but it resolves to `Result<Counter, String>`

use riot_actor::prelude::*;

struct Counter;

impl GenServer for Counter {
    type Args = ();
    async fn init((): ()) -> Result<Self, String> {
        Ok(Counter)
    }
}

fn main() {}
