// errors: 1
// first: mismatched types
// says: expected `Pid`, found `GenServerRef<Counter>`

use riot_actor::prelude::*;

struct Counter(u64);
struct Get;
struct Add(u64);

impl GenServer for Counter {
    type Args = u64;
    async fn init(start: u64) -> Result<Self, Stop> {
        Ok(Counter(start))
    }
}
impl Call<Get> for Counter {
    type Reply = u64;
    async fn call(&mut self, _: Get) -> u64 {
        self.0
    }
}
impl Cast<Add> for Counter {
    async fn cast(&mut self, Add(number): Add) {
        self.0 += number;
    }
}

fn main() {
    run(async {
        let counter = Counter::start_link(1).await?;
        send(counter, Add(1));
        ok()
    });
}
