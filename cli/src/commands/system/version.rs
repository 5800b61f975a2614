//! `bulkhead version`: of this program and of the engine.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::ShowArgs;
use crate::engine::client::API_VERSION;
use crate::engine::with_engine;
use crate::output;
use crate::rows::{Template, at};

pub(crate) fn run(host: Option<&str>, args: ShowArgs) -> anyhow::Result<ExitCode> {
    let client = client();
    if args.format.is_none() {
        // The engine may not answer; this much is known without it.
        output::line("Client:")?;
        fields(" ", &client, &[("Version", "/Version"), ("API version", "/ApiVersion")])?;
        field(" ", "OS/Arch", &system(&client))?;
    }
    with_engine(host, |engine| async move {
        let server: Value = engine.get("/version").await?;
        match args.format.as_deref() {
            None => engine_part(&server)?,
            Some(format) => {
                let both = json!({ "Client": client, "Server": server });
                match format {
                    "json" => output::line(&both.to_string())?,
                    text => output::line(&text.parse::<Template>()?.render(&both)?)?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// This program, with the fields that Docker's has.
fn client() -> Value {
    json!({
        "Version": env!("CARGO_PKG_VERSION"), "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION, "GitCommit": "", "GoVersion": "", "Os": "linux",
        "Arch": "amd64", "BuildTime": "", "Context": "default",
    })
}

fn engine_part(server: &Value) -> anyhow::Result<()> {
    output::line(&format!("\nServer: {}\n Engine:", at(server, "/Platform/Name")))?;
    field("  ", "Version", &at(server, "/Version"))?;
    let (newest, oldest) = (at(server, "/ApiVersion"), at(server, "/MinAPIVersion"));
    field("  ", "API version", &format!("{newest} (minimum version {oldest})"))?;
    field("  ", "OS/Arch", &system(server))?;
    field("  ", "Host kernel", &at(server, "/KernelVersion"))
}

fn system(part: &Value) -> String {
    format!("{}/{}", at(part, "/Os"), at(part, "/Arch"))
}

fn fields(indent: &str, part: &Value, fields: &[(&str, &str)]) -> anyhow::Result<()> {
    fields.iter().try_for_each(|(name, path)| field(indent, name, &at(part, path)))
}

fn field(indent: &str, name: &str, value: &str) -> anyhow::Result<()> {
    let heading = format!("{indent}{name}:");
    output::line(&format!("{heading:<20}{value}"))
}
