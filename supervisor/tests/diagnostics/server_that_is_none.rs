// errors: 1
// first: `Db` is not a generic server
// says: implement `GenServer` for it: `type Args` and `async fn init`

use riot_actor::prelude::*;
use riot_supervisor::{Supervisor, server};

struct Db;

fn main() {
    run(async {
        Supervisor::one_for_one().child(server::<Db>("db", || ())).start_link().await?;
        ok()
    });
}
