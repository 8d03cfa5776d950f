// errors: 1
// first: type annotations needed

use riot_actor::prelude::*;

fn main() {
    run(async {
        let message = receive().await;
        println!("{message:?}");
    });
}
