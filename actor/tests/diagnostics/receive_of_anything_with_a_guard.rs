// errors: 1
// first: `_` names no type: an arm of `receive!` takes messages of one type, such as `Tick` or `tick:
// first: Tick`, and `mailbox::receive_any` takes a message of any type

use riot_actor::prelude::*;

struct Tick;

fn main() {
    let is_ready = true;
    run(async move {
        receive! {
            Tick => {}
            _ if is_ready => {}
        }
    });
}
