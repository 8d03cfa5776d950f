//! What the running system looks like.
mod common;

use std::future::pending;

use common::*;
use riot_actor::{Reason, spawn_link, this};
use riot_supervisor::{Supervisor, process, supervisor, tree};

#[test]
fn a_tree_prints_its_processes_in_the_order_of_their_start() {
    simulated(|| async {
        let observer = this();
        let connections = move || {
            let connection = move || async move {
                spawn_link(pending::<()>());
                note(observer, "reading");
                pending::<()>().await
            };
            Supervisor::one_for_one()
                .label("Connections.Sup")
                .child(process("connection", connection))
                .start_link()
        };
        let sup = Supervisor::rest_for_one()
            .label("Server.Sup")
            .name("server")
            .child(supervisor("connections", connections))
            .child(process("acceptor", pending::<()>))
            .start_link()
            .await
            .unwrap();
        notes("reading").await;
        settled(sup).await;
        let tree = tree(sup.pid()).unwrap();
        let text = tree.to_string();
        let without_pids: Vec<String> = text
            .lines()
            .map(|line| {
                line.split(" (")
                    .next()
                    .unwrap_or_default()
                    .split(' ')
                    .filter(|word| !word.starts_with('<'))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        assert_eq!(
            without_pids,
            [
                "Server.Sup server",
                "├── Connections.Sup",
                "│   └── connection",
                "│       └── -",
                "└── acceptor"
            ],
            "{text}"
        );
        sup.stop(Reason::Normal, None).await.unwrap();
        assert!(riot_supervisor::tree(sup.pid()).is_none());
    });
}
