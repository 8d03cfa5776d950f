// errors: 1
// first: `?` couldn't convert the error: `Box<dyn std::error::Error>: IntoReason` is not satisfied

use riot_actor::prelude::*;

use std::error::Error;

struct Counter;

fn load() -> Result<Counter, Box<dyn Error>> {
    Ok(Counter)
}

impl GenServer for Counter {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(load()?)
    }
}

fn main() {}
