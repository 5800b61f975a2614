//! docker-compose with an application of three services.

use std::process::{Command, Output};

use anyhow::{Context, ensure};
use tests::{TestEngine, client_file};

/// The application of `clients/compose`.
struct Application {
    engine: TestEngine,
}

impl Application {
    fn compose(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.engine.client("docker-compose", &["--project-name", "app"]);
        command.arg("--file").arg(client_file("compose/docker-compose.yml")).args(arguments);
        // A machine in an emulated machine takes its time.
        command.env("COMPOSE_HTTP_TIMEOUT", "200");
        command.output().context("run docker-compose")
    }

    fn text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.compose(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let logged = self.engine.logged();
        ensure!(
            output.status.success(),
            "docker-compose {arguments:?}: {}\n{errors}\n{logged}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// What `redis-cli` says in the service Redis. By docker: compose takes its time to start.
    fn redis(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.engine.text(&[&["exec", "app_redis_1", "redis-cli", "--raw"], arguments].concat())
    }
}

#[test]
fn application_of_three_services_lives_with_compose() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load("redis")?;
    let app = Application { engine };
    app.text(&["up", "-d", "--scale", "worker=2"])?;

    let format = r#"{{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}"#;
    let events = app.engine.events("type=container", format)?;
    let at = |wanted: &str| {
        events.iter().position(|event| event == wanted).context(format!("{events:?}"))
    };
    ensure!(at("redis health_status: healthy")? < at("web start")?, "{events:?}");
    ensure!(at("redis health_status: healthy")? < at("worker start")?, "{events:?}");
    let running = app.engine.text(&["ps", "--format", "{{.Names}}"])?;
    let mut running: Vec<_> = running.lines().collect();
    running.sort_unstable();
    assert_eq!(running, ["app_redis_1", "app_web_1", "app_worker_1", "app_worker_2"]);

    // From here to the web server, to Redis, to a worker, and back.
    let port = app.text(&["port", "web", "80"])?;
    for job in ["one", "two", "three", "four"] {
        let address = format!("http://{port}/cgi-bin/add?{job}");
        Command::new("busybox").args(["wget", "-q", "-O", "-", &address]).output()?;
    }
    let mut done = Vec::new();
    for _ in 0..4 {
        let answer = app.redis(&["blpop", "done", "60"])?;
        done.push(answer.lines().last().unwrap_or_default().to_owned());
    }
    done.sort_unstable();
    assert_eq!(done, ["four", "one", "three", "two"]);
    let logs = app.text(&["logs", "--no-color", "worker"])?;
    for job in done {
        ensure!(logs.lines().any(|line| line.ends_with(&format!("| did {job}"))), "{logs}");
    }
    let by_name = ["exec", "-T", "--index", "2", "worker", "wget", "-q", "-O", "-"];
    app.text(&[&by_name[..], &["http://web/cgi-bin/add?last"]].concat())?;
    let stranger = app.compose(&[&by_name[..], &["http://site/"]].concat())?;
    let said = String::from_utf8_lossy(&stranger.stderr);
    ensure!(said.contains("bad address 'site'"), "a name of another network: {said}");

    // It looks for volumes in the image's document.
    let before = app.engine.text(&["inspect", "--format", "{{.Id}}", "app_web_1"])?;
    app.text(&["up", "-d", "--no-deps", "--force-recreate", "web"])?;
    let after = app.engine.text(&["inspect", "--format", "{{.Id}}", "app_web_1"])?;
    ensure!(before != after, "the container was not made anew: {after}");

    app.redis(&["set", "kept", "yes"])?;
    app.text(&["down"])?;
    assert_eq!(app.engine.text(&["ps", "-aq"])?, "");
    assert_eq!(app.engine.text(&["network", "ls", "-q", "--filter", "name=app_"])?, "");
    // It starts Redis anew and waits for its health.
    let get = ["run", "--rm", "-T", "worker", "redis-cli", "-h", "redis", "--raw", "get", "kept"];
    assert_eq!(app.text(&get)?, "yes");
    app.text(&["down", "--volumes"])?;
    assert_eq!(app.engine.text(&["volume", "ls", "-q"])?, "");
    Ok(())
}
