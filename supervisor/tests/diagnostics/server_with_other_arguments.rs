// errors: 1
// first: mismatched types
// says: expected `String`, found integer

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, server};

struct Db;

impl GenServer for Db {
    type Args = String;
    async fn init(_: String) -> Result<Self, Stop> {
        Ok(Db)
    }
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(server::<Db>("db", || 7)).start_link().await?;
        ok()
    });
}
