// errors: 1
// checked by: cargo build
// first: evaluation panicked: a server implements `call` or `handle_call` of `Call<Q>`, and this one
// first: implements neither

use riot_actor::prelude::*;

struct Mute;

impl GenServer for Mute {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Mute)
    }
}
impl Call<u8> for Mute {
    type Reply = u8;
}

fn main() {
    run(async {
        Mute::start(()).await?.call(1).await?;
        ok()
    });
}
