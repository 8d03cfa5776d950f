// errors: 1
// first: `Rc<{integer}>` cannot be sent between threads safely
// says: required by a bound in `riot_actor::send`

use riot_actor::prelude::*;

use std::rc::Rc;

fn main() {
    run(async { send(this(), Rc::new(1)) });
}
