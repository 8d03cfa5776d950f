// errors: 1
// first: `Lamp` is not a state machine
// says: implement `StateMachine` for it: `State`, `Event`, `Args`, `init` and `handle`

use riot_actor::prelude::*;

use riot_actor::state_machine::MachineRef;

struct Lamp;

#[expect(dead_code)]
struct House {
    lamp: MachineRef<Lamp>,
}

fn main() {}
