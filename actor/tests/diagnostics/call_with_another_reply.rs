// errors: 1
// first: expected `impl Future<Output = String>` to be a future that resolves to `u64`, but it resolves to
// first: `String`

use riot_actor::prelude::*;

struct Counter;
struct Get;

impl GenServer for Counter {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Counter)
    }
}
impl Call<Get> for Counter {
    type Reply = u64;
    async fn call(&mut self, _: Get) -> String {
        String::new()
    }
}

fn main() {}
