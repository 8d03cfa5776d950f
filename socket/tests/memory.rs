//! The network in memory: scripted faults and random faults.

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{echo, run, settle};
use riot_actor::{Reason, now, simulation::Simulation, timeout};
use riot_socket::{
    Address, Connection, Server,
    memory::{self, Faults, Listener, ScriptStep, Stream},
};

/// Returns an end to script, the connection over it, and the other end.
fn pair() -> (Arc<Stream>, Connection, Connection) {
    let (here, there) = memory::pair();
    let connection = Connection::new(here.clone(), Address::Memory(1));
    (here, connection, Connection::new(there, Address::Memory(2)))
}

async fn sizes(connection: &mut Connection) -> io::Result<Vec<usize>> {
    let (mut sizes, mut buffer) = (Vec::new(), [0; 100]);
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(sizes),
            read => sizes.push(read),
        }
    }
}

#[test]
fn reads_and_writes_are_as_short_as_the_script_says() {
    Simulation::sweep(0..10, || async {
        let (script, mut here, mut there) = pair();
        script.script_writes([ScriptStep::Short(2), ScriptStep::Short(3)]);
        assert_eq!((here.write(b"0123456789").await?, here.write(b"23456789").await?), (2, 3));
        assert_eq!(here.write(b"56789").await?, 5, "the script is over");
        let mut back = [0; 10];
        there.read_exact(&mut back).await?;
        assert_eq!(&back, b"0123456789");

        script.script_reads([ScriptStep::Short(1), ScriptStep::Short(4)]);
        there.write_all(b"0123456789").await?;
        there.close().await?;
        assert_eq!(sizes(&mut here).await?, [1, 4, 5]);
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_step_waits_for_the_operation_it_is_meant_for() {
    Simulation::sweep(0..10, || async {
        let (script, mut here, mut there) = pair();
        script.script_reads([ScriptStep::Short(1)]);
        // Nothing has come, so the step was not used.
        assert!(timeout(Duration::from_secs(1), here.read(&mut [0; 9])).await.is_err());
        there.write_all(b"hello").await?;
        assert_eq!(here.read(&mut [0; 9]).await?, 1);
        assert_eq!(here.read(&mut [0; 9]).await?, 4);
        Ok::<(), Reason>(())
    });
}

#[test]
fn a_delay_is_measured_by_the_runtimes_clock() {
    let late = || async {
        let (script, mut here, mut there) = pair();
        script.script_reads([ScriptStep::Delay(Duration::from_millis(30))]);
        script.script_writes([
            ScriptStep::Delay(Duration::from_millis(20)),
            ScriptStep::Delay(Duration::from_millis(5)),
        ]);
        there.write_all(b"hello").await?;
        let start = now();
        here.read_exact(&mut [0; 5]).await?;
        let read = now();
        here.write_all(b"hello").await?;
        here.write_all(b"again").await?;
        there.read_exact(&mut [0; 10]).await?;
        Ok::<_, Reason>((read - start, now() - read))
    };
    Simulation::sweep(0..10, move || async move {
        let (read, written) = late().await?;
        // A timer fires up to a millisecond late.
        assert!((30..=31).contains(&read.as_millis()), "{read:?}");
        assert!((25..=27).contains(&written.as_millis()), "{written:?}");
        Ok::<(), Reason>(())
    });
    run(async move {
        let start = Instant::now();
        late().await?;
        assert!(start.elapsed() >= Duration::from_millis(55));
        Ok(())
    });
}

#[test]
fn a_reset_in_the_script_breaks_the_connection_for_both() {
    Simulation::sweep(0..10, || async {
        let (script, mut here, mut there) = pair();
        script.script_writes([ScriptStep::Short(2), ScriptStep::Reset]);
        let error = here.write_all(b"hello").await.expect_err("it breaks");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = there.read(&mut [0; 9]).await.expect_err("what was under way is lost");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        Ok::<(), Reason>(())
    });
}

#[test]
fn an_end_in_the_script_ends_one_direction() {
    Simulation::sweep(0..10, || async {
        let (script, mut here, mut there) = pair();
        there.write_all(b"hello").await?;
        script.script_reads([ScriptStep::Short(2), ScriptStep::End]);
        assert_eq!(sizes(&mut here).await?, [2]);
        here.write_all(b"still").await?;
        there.read_exact(&mut [0; 5]).await?;
        script.script_writes([ScriptStep::End]);
        assert_eq!(here.write(b"x").await.expect_err("it ended").kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(there.read(&mut [0; 9]).await?, 0);
        Ok::<(), Reason>(())
    });
}

/// Returns the number of bytes that a client got back, and whether that was all it sent.
async fn conversation(listener: &Listener) -> (usize, bool) {
    let Ok(client) = listener.connect() else { return (0, false) };
    let sent: Vec<u8> = (0..2000).map(|at| (at % 251) as u8).collect();
    let (mut reader, mut writer) = client.into_split();
    let whole = sent.clone();
    riot_actor::spawn(async move {
        // The write may fail at any point.
        if writer.write_all(&whole).await.is_ok() {
            let _ = writer.close().await;
        }
    });
    let (mut received, mut buffer) = (Vec::new(), [0; 512]);
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..read]);
    }
    assert!(sent.starts_with(&received), "bytes are lost at the end only, and none is another");
    (received.len(), received.len() == sent.len())
}

/// Runs conversations under the random faults of a seed, and returns the result of each client, and the total
/// time.
fn conversations(seed: u64) -> (Vec<(usize, bool)>, Duration) {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    Simulation::sweep([seed], move || {
        let place = place.clone();
        async move {
            let listener = Listener::new();
            let faults = Faults::new(seed).short(300).delay(100, Duration::from_secs(1)).reset(15).end(15);
            listener.faults(faults);
            let server = Server::listen(listener.clone()).start_link(echo).await?;
            let start = now();
            let mut outcomes = Vec::new();
            for _ in 0..5 {
                outcomes.push(conversation(&listener).await);
            }
            let time = now() - start;
            settle().await;
            riot_actor::sleep(Duration::from_secs(60)).await;
            assert_eq!(server.info().active, 0, "whatever happened, every place was given back");
            *place.lock().expect("no panic while locked") = Some((outcomes, time));
            Ok::<(), Reason>(())
        }
    });
    let outcome = result.lock().expect("no panic while locked").take();
    outcome.expect("the program ended")
}

#[test]
fn a_server_in_all_weathers_and_a_seed_brings_the_same_again() {
    let (mut whole, mut broken) = (0, 0);
    for seed in 0..100 {
        let (outcomes, time) = conversations(seed);
        whole += outcomes.iter().filter(|(_, all)| *all).count();
        broken += outcomes.iter().filter(|(_, all)| !*all).count();
        if seed % 10 == 0 {
            assert_eq!(conversations(seed), (outcomes, time), "seed {seed}");
        }
    }
    assert!(whole > 50 && broken > 50, "{whole} conversations whole, {broken} broken");
}
