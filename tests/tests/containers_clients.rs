//! Docker's other clients against the engine, each container in a machine of its own.

use tests::{TestEngine, container_image, run_python};

#[test]
fn docker_py_drives_all_it_knows() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    let archive = container_image("busybox")?.display().to_string();
    assert_eq!(run_python(&engine, "docker_py.py", &[&archive])?, "as it should be");
    Ok(())
}

#[test]
fn testcontainers_gives_a_test_its_database() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load("postgres")?;
    let said = run_python(&engine, "postgres.py", &[])?;
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("15."), "{said}");
    assert_eq!(lines[1..], ["10000 10000 ada", "0 note 41"]);
    assert_eq!(engine.text(&["ps", "-aq"])?, "", "the test is over");
    Ok(())
}
