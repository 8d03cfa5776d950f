// errors: 3
// first: `Mailer` does not answer calls of type `_`
// says: this server does not implement `Call` for the query
// says: `type Reply` and `async fn call(&mut self, query:

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

struct Mailer;

impl GenServer for Mailer {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Mailer)
    }
}

fn main() {
    run(async {
        let mailer = Mailer::start_link(()).await?;
        let count: u64 = mailer.call(Get).await?;
        println!("{count}");
        ok()
    });
}
