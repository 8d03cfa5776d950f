// errors: 2
// first: expected type, found constant `LIMIT`

use riot_actor::prelude::*;

const LIMIT: u32 = 5;

fn main() {
    run(async {
        receive! {
            LIMIT => {}
        }
    });
}
