// errors: 1
// first: `u64` is not a future

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
    fn call(&mut self, _: Get) -> u64 {
        1
    }
}

fn main() {}
