// errors: 1
// first: cannot find type `Tikc` in this scope

use riot_actor::prelude::*;

struct Tick;

fn main() {
    let is_ready = true;
    run(async move {
        send(this(), Tick);
        receive! {
            Tikc if is_ready => {}
            _text: String => {}
        }
    });
}
