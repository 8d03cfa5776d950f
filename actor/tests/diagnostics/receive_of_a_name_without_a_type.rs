// errors: 2
// first: cannot find type `message` in this scope

use riot_actor::prelude::*;

fn main() {
    run(async {
        receive! {
            message => drop(message),
        }
    });
}
