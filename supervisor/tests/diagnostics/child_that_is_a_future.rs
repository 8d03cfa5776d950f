// errors: 1
// first: mismatched types
// says: expected `ChildSpec<_>`

use riot_actor::prelude::*;
use riot_supervisor::Supervisor;

struct Db;

impl GenServer for Db {
    type Args = String;
    async fn init(_: String) -> Result<Self, Stop> {
        Ok(Db)
    }
}

fn main() {
    run(async {
        Supervisor::one_for_one().child(Db::start_link(String::new())).start_link().await?;
        ok()
    });
}
