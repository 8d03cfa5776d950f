// errors: 1
// first: cannot find type `Tikc` in this scope
// says: help: a struct with a similar name exists

use riot_actor::prelude::*;

struct Tick;

fn main() {
    run(async {
        send(this(), Tick);
        receive! {
            Tikc => {}
        }
    });
}
