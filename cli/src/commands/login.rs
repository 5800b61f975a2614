//! `bulkhead login`, `bulkhead logout`, and credentials for registries: in Docker's own file, so
//! that both tools know the same ones.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE as BASE64URL};
use serde_json::{Map, Value, json};

use crate::engine::with_engine;
use crate::output;

/// The registry of names without one.
const DEFAULT: &str = "https://index.docker.io/v1/";

/// Checks credentials and keeps them.
#[derive(clap::Args)]
pub(crate) struct LoginArgs {
    /// User; asked for where it is not given
    #[arg(short, long)]
    username: Option<String>,
    /// Password; better: --password-stdin
    #[arg(short, long)]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Registry (default: Docker's)
    server: Option<String>,
}

/// Forgets credentials.
#[derive(clap::Args)]
pub(crate) struct LogoutArgs {
    /// Registry (default: Docker's)
    server: Option<String>,
}

pub(crate) fn login(host: Option<&str>, args: LoginArgs) -> anyhow::Result<ExitCode> {
    let server = filed_as(args.server.as_deref().unwrap_or(DEFAULT));
    if args.password.is_some() && args.password_stdin {
        bail!("conflicting options: cannot specify both --password and --password-stdin");
    }
    if args.password_stdin && args.username.is_none() {
        bail!("the --password-stdin option requires --username to be set");
    }
    if args.password.is_some() {
        output::note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    let known = credentials(&read()?, &server)?;
    let asks_for_nothing = args.username.is_none() && args.password.is_none();
    with_engine(host, |engine| async move {
        if let Some(known) = known.as_ref().filter(|_| asks_for_nothing) {
            output::note("Authenticating with existing credentials...");
            match engine.post::<Value>("/auth", known).await {
                Ok(_) => {
                    output::line("Login Succeeded")?;
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) => output::note(&format!("Login did not succeed: {error}")),
            }
        }
        let (username, password) = told(args, known.as_ref())?;
        let body = json!({ "username": username, "password": password, "serveraddress": server });
        let answer: Value = engine.post("/auth", &body).await?;
        let token = crate::rows::at(&answer, "/IdentityToken");
        keep(&server, &username, &password, &token)?;
        output::line("Login Succeeded")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Name and password as given, or as typed on a terminal.
fn told(args: LoginArgs, known: Option<&Value>) -> anyhow::Result<(String, String)> {
    let typed = args.username.is_none() || args.password.is_none() && !args.password_stdin;
    if typed && !io::stdin().is_terminal() {
        bail!(
            "Cannot perform an interactive login from a non TTY device: give --username, and the \
             password with --password-stdin"
        );
    }
    let username = match (args.username, known.map(|known| crate::rows::at(known, "/username"))) {
        (Some(username), _) => username,
        (None, Some(before)) if !before.is_empty() => {
            let typed = output::asked(&format!("Username ({before}): "))?;
            if typed.is_empty() { before } else { typed }
        }
        (None, _) => output::asked("Username: ")?,
    };
    if username.is_empty() {
        bail!("username is required");
    }
    let password = match args.password {
        Some(password) => password,
        None if args.password_stdin => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => output::secret("Password: ")?,
    };
    if password.is_empty() {
        bail!("password is required");
    }
    Ok((username, password))
}

pub(crate) fn logout(args: LogoutArgs) -> anyhow::Result<ExitCode> {
    let server = filed_as(args.server.as_deref().unwrap_or(DEFAULT));
    output::line(&format!("Removing login credentials for {server}"))?;
    let mut config = read()?;
    if let Some(helper) = helper(&config, &server) {
        ask_helper(&helper, "erase", &server)?;
    }
    if let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut)
        && auths.remove(&server).is_some()
    {
        write(&config)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name that a registry's credentials are filed by: its host and port.
fn filed_as(server: &str) -> String {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    if matches!(host, "docker.io" | "index.docker.io") { DEFAULT } else { host }.to_owned()
}

fn file() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("DOCKER_CONFIG") {
        return Ok(PathBuf::from(folder).join("config.json"));
    }
    let home = env::var_os("HOME").context("neither DOCKER_CONFIG nor HOME is set")?;
    Ok(PathBuf::from(home).join(".docker/config.json"))
}

fn read() -> anyhow::Result<Map<String, Value>> {
    let file = file()?;
    match fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what was expected", file.display())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(e) => Err(e).with_context(|| format!("failed to read {}", file.display())),
    }
}

fn write(config: &Map<String, Value>) -> anyhow::Result<()> {
    let file = file()?;
    let folder = file.parent().context("the configuration has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    // A temporary file is its owner's only, and so are credentials.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&serde_json::to_vec_pretty(config)?)?;
    new.persist(&file).with_context(|| format!("failed to write {}", file.display()))?;
    Ok(())
}

fn keep(server: &str, username: &str, password: &str, token: &str) -> anyhow::Result<()> {
    let mut config = read()?;
    if let Some(helper) = helper(&config, server) {
        let (username, secret) =
            if token.is_empty() { (username, password) } else { ("<token>", token) };
        let entry = json!({ "ServerURL": server, "Username": username, "Secret": secret });
        ask_helper(&helper, "store", &entry.to_string())?;
        return Ok(());
    }
    let mut entry = json!({ "auth": BASE64.encode(format!("{username}:{password}")) });
    if !token.is_empty() {
        entry = json!({ "auth": BASE64.encode(format!("{username}:")), "identitytoken": token });
    }
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    if let Some(auths) = auths.as_object_mut() {
        auths.insert(server.to_owned(), entry);
    }
    write(&config)?;
    output::note(&format!(
        "WARNING! Your credentials are stored unencrypted in '{}'.\n\
         Configure a credential helper (credsStore, as Docker has it) to avoid that.",
        file()?.display()
    ));
    Ok(())
}

fn helper(config: &Map<String, Value>, server: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|helpers| helpers.get(server));
    let name = own.or_else(|| config.get("credsStore")).and_then(Value::as_str)?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn ask_helper(name: &str, verb: &str, input: &str) -> anyhow::Result<Vec<u8>> {
    let program = format!("docker-credential-{name}");
    let failed = || format!("failed to run {program}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    child.stdin.take().with_context(failed)?.write_all(input.as_bytes())?;
    let output = child.wait_with_output().with_context(failed)?;
    if !output.status.success() {
        bail!("{program} {verb}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    Ok(output.stdout)
}

/// The registry that an image's name leads to, as credentials are filed.
fn server_of(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => filed_as(first),
        _ => DEFAULT.to_owned(),
    }
}

/// The value of `X-Registry-Auth` for an image, where there are credentials.
pub(crate) fn header_for(image: &str) -> anyhow::Result<Option<String>> {
    let config = read()?;
    let server = server_of(image);
    let found = credentials(&config, &server)?;
    Ok(found.map(|found| BASE64URL.encode(found.to_string())))
}

fn credentials(config: &Map<String, Value>, server: &str) -> anyhow::Result<Option<Value>> {
    if let Some(helper) = helper(config, server) {
        // A helper fails where it knows nothing of the server.
        let Ok(answer) = ask_helper(&helper, "get", server) else { return Ok(None) };
        let answer: Value = serde_json::from_slice(&answer)?;
        let (user, secret) = (&answer["Username"], &answer["Secret"]);
        if user == "<token>" {
            return Ok(Some(json!({ "identitytoken": secret, "serveraddress": server })));
        }
        return Ok(Some(json!({ "username": user, "password": secret, "serveraddress": server })));
    }
    let Some(entry) = config.get("auths").and_then(|auths| auths.get(server)) else {
        return Ok(None);
    };
    if let Some(token) = entry.get("identitytoken") {
        return Ok(Some(json!({ "identitytoken": token, "serveraddress": server })));
    }
    let coded = entry.get("auth").and_then(Value::as_str).unwrap_or_default();
    let wrong = || format!("the credentials for {server} are not what was expected");
    let text = String::from_utf8(BASE64.decode(coded).with_context(wrong)?)?;
    let (user, password) = text.split_once(':').with_context(wrong)?;
    Ok(Some(json!({ "username": user, "password": password, "serveraddress": server })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_found_in_names() {
        assert_eq!(server_of("alpine"), DEFAULT);
        assert_eq!(server_of("library/alpine"), DEFAULT);
        assert_eq!(server_of("localhost:5000/a"), "localhost:5000");
        assert_eq!(server_of("quay.io/a/b"), "quay.io");
        assert_eq!(server_of("docker.io/library/alpine"), DEFAULT);
    }

    #[test]
    fn registries_are_filed_by_host_and_port() {
        assert_eq!(filed_as(DEFAULT), DEFAULT);
        assert_eq!(filed_as("docker.io"), DEFAULT);
        assert_eq!(filed_as("https://localhost:5000/v2/"), "localhost:5000");
        assert_eq!(filed_as("quay.io"), "quay.io");
    }

    #[test]
    fn credentials_are_read_from_dockers_file() {
        let config = json!({ "auths": { "quay.io": { "auth": BASE64.encode("me:pass:word") } } });
        let config = config.as_object().unwrap();
        let found = credentials(config, "quay.io").unwrap().unwrap();
        assert_eq!((&found["username"], &found["password"]), (&json!("me"), &json!("pass:word")));
        assert!(credentials(config, "other.io").unwrap().is_none());
    }
}
