// errors: 1
// first: cannot find type `Dwon` in this scope

use riot_actor::prelude::*;

fn main() {
    run(async {
        receive! {
            down: Dwon => println!("{down:?}"),
        }
    });
}
