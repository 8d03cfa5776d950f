//! Start functions of children fail with errors of every kind: ER1.
use riot_actor::{Pid, Reason, simulation::Simulation};
use riot_supervisor::{Supervisor, supervisor, worker};

#[test]
fn er01_every_error_fails_the_start_of_a_child() {
    let reason = Simulation::new(1).run(async {
        let children = [
            worker("a", || async { Err::<Pid, _>(anyhow::anyhow!("no disk")) }),
            worker("b", || async { Err::<Pid, _>("no disk") }),
            supervisor("c", || async { Err::<Pid, _>("no disk".to_owned()) }),
            worker("d", || async { Err::<Pid, Box<dyn std::error::Error + Send + Sync>>("no disk".into()) }),
        ];
        for child in children {
            let error = Supervisor::one_for_one().child(child).start_link().await.unwrap_err().to_string();
            assert!(error.ends_with(" failed to start: no disk"), "{error}");
        }
        let init = Supervisor::init(|| async { Err::<Supervisor, _>(anyhow::anyhow!("no disk")) });
        assert_eq!(init.start_link().await.unwrap_err().to_string(), "no disk");
    });
    assert_eq!(reason, Reason::Normal);
}
