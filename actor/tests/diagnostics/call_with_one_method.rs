// errors: 0
// checked by: cargo build

use riot_actor::prelude::*;

struct Talker;

impl GenServer for Talker {
    type Args = ();
    async fn init((): ()) -> Result<Self, Stop> {
        Ok(Talker)
    }
}
impl Call<u8> for Talker {
    type Reply = u8;
    async fn call(&mut self, number: u8) -> u8 {
        number
    }
}
impl Call<u16> for Talker {
    type Reply = u16;
    async fn handle_call(&mut self, number: u16, reply: ReplyTo<u16>) {
        reply.send(number);
    }
}

fn main() {
    run(async {
        let talker = Talker::start(()).await?;
        talker.call(1_u8).await?;
        talker.call(1_u16).await?;
        ok()
    });
}
