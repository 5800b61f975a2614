//! The command line as a person uses it, with real guests.

use std::path::PathBuf;

use tests::{Cli, Format, Kernel};

fn guest() -> anyhow::Result<[String; 2]> {
    let kernel = Kernel::Bulkhead612;
    let text = |path: PathBuf| path.display().to_string();
    Ok([text(kernel.file(Format::Vmlinux)?), text(kernel.initramfs()?)])
}

#[test]
fn command_in_a_fresh_machine_gives_its_output_and_status() -> anyhow::Result<()> {
    let (cli, [kernel, initrd]) = (Cli::new()?, guest()?);
    let script = "echo out; echo err >&2; exit 7";
    let run = ["vm", "run", "--kernel", &kernel, "--initrd", &initrd, "--", "sh", "-c", script];
    let output = cli.run(&run)?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    // A slow boot is remarked upon before.
    assert!(output.stderr.ends_with(b"err\n"), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(cli.text(&["vm", "ls", "--quiet"])?, "", "nothing is left behind");
    Ok(())
}

#[test]
fn ends_of_the_machine_under_a_command_have_documented_statuses() -> anyhow::Result<()> {
    let (cli, [kernel, initrd]) = (Cli::new()?, guest()?);
    let run = ["vm", "run", "--kernel", &kernel, "--initrd", &initrd, "--", "sh", "-c"];
    let under = |command| -> anyhow::Result<(Option<i32>, String)> {
        let output = cli.run(&[&run[..], &[command]].concat())?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    let (status, said) = under("poweroff -f; sleep 60")?;
    assert_eq!(status, Some(125), "{said}");
    assert!(said.contains("the command did not run to its end: the guest powered off"), "{said}");
    let (status, said) = under("echo c > /proc/sysrq-trigger")?;
    assert_eq!(status, Some(102), "{said}");
    assert!(said.contains("the guest had a kernel panic"), "{said}");
    Ok(())
}

#[test]
fn detached_machine_is_looked_after_until_it_is_stopped() -> anyhow::Result<()> {
    let (cli, [kernel, initrd]) = (Cli::new()?, guest()?);
    let run = ["vm", "run", "--kernel", &kernel, "--initrd", &initrd];
    let detach = ["--name", "web", "--detach", "--wait"];
    assert_eq!(cli.text(&[&run[..], &detach[..]].concat())?, "web");
    assert_eq!(cli.text(&["vm", "exec", "web", "uname", "-s"])?, "Linux");
    let failing = cli.run(&["vm", "exec", "web", "sh", "-c", "exit 3"])?;
    assert_eq!(failing.status.code(), Some(3));

    let state = || -> anyhow::Result<serde_json::Value> {
        let list: serde_json::Value =
            serde_json::from_str(&cli.text(&["vm", "ls", "--format", "json"])?)?;
        Ok(list[0]["state"].clone())
    };
    cli.text(&["vm", "pause", "web"])?;
    assert_eq!(state()?, "Paused");
    cli.text(&["vm", "resume", "web"])?;
    assert_eq!(state()?, "Running");
    let taken = cli.run(&[&run[..], &detach[..]].concat())?;
    assert!(String::from_utf8_lossy(&taken.stderr).contains("a machine called web is running"));

    cli.text(&["vm", "stop", "web", "--timeout", "60"])?;
    assert_eq!(cli.text(&["vm", "ls", "--quiet"])?, "");
    assert_eq!(cli.list()?[0]["end"]["end"], "power-button");
    Ok(())
}
