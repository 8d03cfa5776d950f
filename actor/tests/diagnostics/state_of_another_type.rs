// errors: 1
// first: type mismatch resolving `<Lamp as StateMachine>::State == &str`
// says: expected this to be `&str`

use riot_actor::prelude::*;

use riot_actor::state_machine::{First, Input};

struct Lamp;

impl StateMachine for Lamp {
    type Args = ();
    type State = bool;
    type Event = ();
    async fn init((): ()) -> Result<First<Self>, Stop> {
        Ok(First::new(Lamp, false))
    }
    async fn handle(&mut self, _: &bool, _: Input<()>) -> Step<Self> {
        Step::to("off")
    }
}

fn main() {}
