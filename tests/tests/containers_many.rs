//! Many containers on one network.

use std::thread;

use anyhow::{Context, ensure};
use tests::TestEngine;

const MANY: usize = 20;

/// Starts container `number`, which serves its name.
fn start(engine: &TestEngine, number: usize) -> anyhow::Result<String> {
    let name = format!("c{number}");
    let serve = format!("echo {name} > /var/www/index.html; exec httpd -f -h /var/www");
    let within = ["run", "-d", "--init", "-m", "32m", "--network", "many", "--name", &name];
    engine.text(&[&within[..], &["busybox", "sh", "-c", &serve]].concat())
}

/// What container `number` gets from others: near ones and far ones.
fn ask(engine: &TestEngine, number: usize) -> anyhow::Result<()> {
    let others = [1, 7, 10].map(|step| format!("c{}", (number + step) % MANY));
    let fetch = |other: &String| format!("wget -q -O - http://{other}/");
    let script = others.each_ref().map(fetch).join(" && ");
    let said = engine.text(&["exec", &format!("c{number}"), "sh", "-c", &script])?;
    ensure!(said.lines().eq(&others), "c{number} asked {others:?} and got {said:?}");
    Ok(())
}

/// Calls `act` for all containers at once.
fn for_all(act: impl Fn(usize) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let act = &act;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|number| scope.spawn(move || act(number))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("it panicked")?)
    })
}

#[test]
fn twenty_containers_talk_to_each_other_by_name() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    engine.text(&["network", "create", "many"])?;
    for_all(|number| start(&engine, number).map(drop))?;
    assert_eq!(engine.text(&["ps", "-q"])?.lines().count(), MANY);
    for_all(|number| ask(&engine, number))?;
    let names = engine.text(&["ps", "-aq"])?;
    engine.text(&[&["rm", "-f"], &names.lines().collect::<Vec<_>>()[..]].concat())?;
    assert_eq!(engine.text(&["ps", "-aq"])?, "");
    Ok(())
}
