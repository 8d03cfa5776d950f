// errors: 1
// first: to be a future that resolves to `Result<Supervisor, _>`, but it resolves to `Result<(), Reason>`
// says: expected `Result<Supervisor, _>`, found `Result<(), Reason>`

use riot_actor::prelude::*;
use riot_supervisor::Supervisor;

fn main() {
    run(async {
        Supervisor::init(|| async { Ok::<_, Reason>(()) }).start_link().await?;
        ok()
    });
}
