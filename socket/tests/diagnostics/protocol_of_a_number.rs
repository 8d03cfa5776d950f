// errors: 1
// first: `{integer}` is not an outcome of a process
// says: the body of a process returns this
// says: a body returns `()`, a `Reason`, or a `Result`

use riot_actor::prelude::*;
use riot_socket::{Connection, Server};

fn main() {
    run(async {
        Server::bind("127.0.0.1:0")?
            .start_link(|connection: Connection| async move {
                drop(connection);
                7
            })
            .await?;
        ok()
    });
}
