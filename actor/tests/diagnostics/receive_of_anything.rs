// errors: 1
// first: `_` names no type: an arm of `receive!` takes messages of one type, such as `Tick` or `tick:
// first: Tick`, and `mailbox::receive_any` takes a message of any type

use riot_actor::prelude::*;

fn main() {
    run(async {
        receive! {
            _ => {}
        }
    });
}
