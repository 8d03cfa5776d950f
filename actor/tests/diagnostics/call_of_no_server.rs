// errors: 1
// first: `Counter` is not a generic server
// says: implement `GenServer` for it: `type Args` and `async fn init`

use riot_actor::prelude::*;

struct Counter;
struct Get;

impl Call<Get> for Counter {
    type Reply = u64;
    async fn call(&mut self, _: Get) -> u64 {
        1
    }
}

fn main() {}
