//! The picture of the running tree.
mod common;

use std::future::pending;

use common::*;
use riot_actor::{Reason, process::tree, spawn_link, this};
use riot_supervisor::{Supervisor, process, supervisor};

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
        let text = tree().find(sup.pid()).unwrap().to_string();
        // The label stands between the pid and the status.
        let shown: Vec<String> = text
            .lines()
            .map(|line| {
                let words = line.rsplitn(3, "  ").last().unwrap_or_default().split(' ');
                words.filter(|word| !word.starts_with('<')).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let expected =
            ["Server.Sup server", "├─ Connections.Sup", "│  └─ connection", "│     └─ -", "└─ acceptor"];
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        assert_eq!(shown, expected, "{text}");
        sup.stop(Reason::Normal).await.unwrap();
        assert!(tree().find(sup.pid()).is_none());
    });
}
