// errors: 1
// first: `fn() -> impl Future<Output = ()> {worker}` is not a future
// says: use parentheses to call this function

use riot_actor::prelude::*;

async fn worker() {}

fn main() {
    run(async {
        spawn(worker);
    });
}
