//! Files of containers: cp, export, commit.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hyper::Method;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::engine::client::{chunks, flowing};
use crate::engine::{Engine, Query};
use crate::output;
use crate::rows::at;

pub(crate) const CP_HELP: &str = "\
Examples:
  bulkhead cp web:/etc/nginx/nginx.conf .
  bulkhead cp page.html web:/usr/share/nginx/html/
  bulkhead cp web:/var/log - | tar t";

/// Copies files into a container or out of it.
#[derive(clap::Args)]
pub(crate) struct CpArgs {
    /// Keep owners
    #[arg(short, long)]
    archive: bool,
    /// Follow a symbolic link that is the source
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// CONTAINER:PATH, a path, or - for a tar archive
    source: String,
    /// CONTAINER:PATH, a path, or - for a tar archive
    target: String,
}

/// Writes a container's files as a tar archive.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    /// File to write instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or id
    container: String,
}

/// Makes an image of what a container has changed.
#[derive(clap::Args)]
pub(crate) struct CommitArgs {
    /// Who made it
    #[arg(short, long)]
    author: Option<String>,
    /// A change to the image's settings, as in a Dockerfile
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What was done
    #[arg(short, long)]
    message: Option<String>,
    /// Have the container stand still meanwhile
    #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL",
          value_parser = crate::flags::boolean)]
    pause: bool,
    /// Let the container go on meanwhile
    #[arg(long, conflicts_with = "pause")]
    no_pause: bool,
    /// Name or id
    container: String,
    /// Name of the image
    image: Option<String>,
}

/// One end of a copy.
enum End {
    Container(String, String),
    Local(PathBuf),
    Archive,
}

fn end(text: &str) -> End {
    if text == "-" {
        return End::Archive;
    }
    match text.split_once(':') {
        Some((name, path)) if !name.is_empty() && !name.contains('/') && !name.starts_with('.') => {
            End::Container(name.to_owned(), path.to_owned())
        }
        _ => End::Local(PathBuf::from(text)),
    }
}

pub(crate) async fn cp(engine: Engine, args: CpArgs) -> anyhow::Result<ExitCode> {
    match (end(&args.source), end(&args.target)) {
        (End::Container(name, path), target) => {
            copy_out(&engine, &name, &path, target, &args).await?
        }
        (source, End::Container(name, path)) => {
            copy_in(&engine, source, &name, &path, &args).await?
        }
        _ => bail!("one of source and target must be CONTAINER:PATH"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn copy_out(
    engine: &Engine,
    container: &str,
    path: &str,
    target: End,
    args: &CpArgs,
) -> anyhow::Result<()> {
    let query = Query::path(&["containers", container, "archive"]).with("path", path);
    let response = engine.send(Method::GET, query.as_str(), None).await?;
    let reader = StreamReader::new(chunks(response).map_err(io::Error::other));
    let keep = args.archive;
    let name = Path::new(path).file_name().map(PathBuf::from).unwrap_or_default();
    tokio::task::spawn_blocking(move || {
        let mut reader = SyncIoBridge::new(Box::pin(reader));
        match target {
            End::Archive => {
                io::copy(&mut reader, &mut io::stdout())?;
                Ok(())
            }
            End::Local(target) => unpack(reader, &name, &target, keep),
            End::Container(..) => bail!("copying between containers is not supported"),
        }
    })
    .await?
}

/// Unpacks an archive whose first entry is `name` so that it is at `target`, or in it where that
/// is a folder. Nothing is written outside: entries with `..` or absolute names are refused, and
/// so are those that lie behind a symbolic link of the archive.
fn unpack(from: impl Read, name: &Path, target: &Path, keep: bool) -> anyhow::Result<()> {
    let ends_in_slash = target.as_os_str().as_encoded_bytes().ends_with(b"/");
    if ends_in_slash && !target.is_dir() {
        bail!("{} is no folder", target.display());
    }
    let into = target.is_dir();
    let folder = if into { target } else { target.parent().unwrap_or(Path::new("/")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    // Unpacked beside its place and moved there, so that only what is in the archive is replaced
    // and nothing in it leads elsewhere.
    let stage = tempfile::tempdir_in(folder)
        .with_context(|| format!("failed to write to {}", folder.display()))?;
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(keep);
    archive.unpack(stage.path()).context("failed to unpack what the container sent")?;
    for entry in fs::read_dir(stage.path())? {
        let entry = entry?;
        let place = if into || entry.file_name() != name.as_os_str() && !name.as_os_str().is_empty()
        {
            folder.join(entry.file_name())
        } else {
            target.to_owned()
        };
        merge(&entry.path(), &place)?;
    }
    Ok(())
}

/// Moves `from` to `to`; folders that are there already are joined.
fn merge(from: &Path, to: &Path) -> anyhow::Result<()> {
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_dir());
    if is_folder(from) && is_folder(to) {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            merge(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if is_folder(to) {
        bail!("{} is a folder, and what was copied is none", to.display());
    }
    fs::rename(from, to).with_context(|| format!("failed to write {}", to.display()))
}

async fn copy_in(
    engine: &Engine,
    source: End,
    container: &str,
    path: &str,
    args: &CpArgs,
) -> anyhow::Result<()> {
    let (folder, name) = target_in(engine, container, path, &source).await?;
    let query = Query::path(&["containers", container, "archive"])
        .with("path", folder)
        .flag("noOverwriteDirNonDir", true)
        .flag("copyUIDGID", args.archive);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    let follow = args.follow_link;
    let packer = thread::spawn(move || {
        let mut writer = Chunks(sender);
        let packed = pack(source, name.as_deref(), follow, &mut writer);
        if let Err(error) = &packed {
            // Ends the request, so that nothing half is taken for whole.
            let _ = writer.0.blocking_send(Err(io::Error::other(format!("{error:#}"))));
        }
        packed
    });
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let headers = [("content-type", "application/x-tar")];
    let sent =
        engine.send_with(Method::PUT, query.as_str(), Some(flowing(receiver)), &headers).await;
    let packed = tokio::task::spawn_blocking(move || packer.join()).await?;
    if let Ok(packed) = packed {
        // Why there was nothing to send says more than that it was not received.
        if sent.is_err() {
            packed?;
        }
    }
    sent?;
    Ok(())
}

/// The folder of the container into which is unpacked, and the name there where it is another
/// than the source's.
async fn target_in(
    engine: &Engine,
    container: &str,
    path: &str,
    source: &End,
) -> anyhow::Result<(String, Option<String>)> {
    let query = Query::path(&["containers", container, "archive"]).with("path", path);
    let found = engine.send(Method::HEAD, query.as_str(), None).await;
    let is_folder = match found {
        Ok(response) => {
            let header = response.headers().get("x-docker-container-path-stat");
            let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
            let decoded = STANDARD.decode(text).unwrap_or_default();
            let stat: Value = serde_json::from_slice(&decoded).unwrap_or_default();
            // Go's ModeDir.
            stat["mode"].as_u64().is_some_and(|mode| mode & (1 << 31) != 0)
        }
        Err(error) if error.is(hyper::StatusCode::NOT_FOUND) => false,
        Err(error) => return Err(error.into()),
    };
    if is_folder || matches!(source, End::Archive) {
        return Ok((path.to_owned(), None));
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() < path.len() {
        bail!("no folder {path} in {container}");
    }
    let (folder, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    let folder = if folder.is_empty() { "/" } else { folder };
    Ok((folder.to_owned(), Some(name.to_owned())))
}

fn pack(source: End, name: Option<&str>, follow: bool, to: &mut impl Write) -> anyhow::Result<()> {
    let path = match source {
        End::Archive => {
            io::copy(&mut io::stdin(), to)?;
            return Ok(());
        }
        End::Local(path) => path,
        End::Container(..) => bail!("copying between containers is not supported"),
    };
    let path = if follow { path.canonicalize().unwrap_or(path) } else { path };
    let data = path.symlink_metadata().with_context(|| path.display().to_string())?;
    let own = path.canonicalize().ok().and_then(|path| path.file_name().map(PathBuf::from));
    // `folder/.` is what the folder holds.
    let contents = path.as_os_str().as_encoded_bytes().ends_with(b"/.") || path.as_os_str() == ".";
    let given = path.file_name().map(PathBuf::from).or(own).unwrap_or_default();
    let name = match (name, contents) {
        (Some(name), _) => PathBuf::from(name),
        (None, true) => PathBuf::from("."),
        (None, false) => given,
    };
    let mut builder = tar::Builder::new(to);
    builder.follow_symlinks(false);
    if data.is_dir() {
        builder.append_dir_all(&name, &path)?;
    } else {
        builder.append_path_with_name(&path, &name)?;
    }
    builder.finish()?;
    Ok(())
}

/// A writer whose chunks become a request's body.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn export(engine: Engine, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let path = Query::path(&["containers", &args.container, "export"]);
    save(&engine, path.as_str(), args.output.as_deref()).await
}

/// Writes an answer to a file or, unless that is a terminal, to standard output.
pub(crate) async fn save(
    engine: &Engine,
    path: &str,
    file: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    use std::io::IsTerminal;
    if file.is_none() && io::stdout().is_terminal() {
        bail!("an archive is not for a terminal: use --output FILE, or redirect standard output");
    }
    let response = engine.send(Method::GET, path, None).await?;
    let mut parts = chunks(response);
    match file {
        None => {
            let mut out = io::stdout();
            while let Some(part) = parts.next().await {
                out.write_all(&part?)?;
            }
        }
        Some(file) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut out = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
                .with_context(|| format!("failed to write {}", file.display()))?;
            while let Some(part) = parts.next().await {
                out.write_all(&part?)?;
            }
            out.persist(file).with_context(|| format!("failed to write {}", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn commit(engine: Engine, args: CommitArgs) -> anyhow::Result<ExitCode> {
    let image = args.image.unwrap_or_default();
    let (repo, tag) = crate::commands::image::split_tag(&image);
    let mut path = Query::path(&["commit"])
        .with("container", &args.container)
        .with("repo", repo)
        .maybe("tag", tag)
        .maybe("author", args.author)
        .maybe("comment", args.message)
        .with("pause", if args.pause && !args.no_pause { "1" } else { "0" });
    if !args.change.is_empty() {
        path = path.with("changes", args.change.join("\n"));
    }
    let made: Value =
        engine.post(path.as_str(), &Value::Object(serde_json::Map::default())).await?;
    output::line(&at(&made, "/Id"))?;
    Ok(ExitCode::SUCCESS)
}

/// A file as a request's body.
pub(crate) fn file_body(file: Option<&Path>) -> anyhow::Result<crate::engine::client::Body> {
    let mut reader: Box<dyn Read + Send> = match file {
        None => Box::new(io::stdin()),
        Some(file) => Box::new(
            File::open(file).with_context(|| format!("failed to open {}", file.display()))?,
        ),
    };
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let part = match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(got) => Ok(Bytes::copy_from_slice(buffer.get(..got).unwrap_or_default())),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
            let failed = part.is_err();
            if sender.blocking_send(part).is_err() || failed {
                return;
            }
        }
    });
    Ok(flowing(tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, data) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn file_goes_into_a_folder_or_gets_a_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&[("conf", b"x")]);
        unpack(bytes.as_slice(), Path::new("conf"), folder.path(), false).unwrap();
        unpack(bytes.as_slice(), Path::new("conf"), &folder.path().join("new"), false).unwrap();
        assert_eq!(fs::read(folder.path().join("conf")).unwrap(), b"x");
        assert_eq!(fs::read(folder.path().join("new")).unwrap(), b"x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn symbolic_link_in_the_archive_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "d/link", outside.path()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d/link/evil", &b"x"[..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        unpack(bytes.as_slice(), Path::new("d"), folder.path(), false).unwrap_err();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn folder_is_not_replaced_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("conf")).unwrap();
        let bytes = archive(&[("conf", b"x")]);
        let error = unpack(bytes.as_slice(), Path::new("conf"), folder.path(), false).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
    }

    #[test]
    fn ends_are_told_apart() {
        assert!(
            matches!(end("web:/x"), End::Container(name, path) if name == "web" && path == "/x")
        );
        assert!(matches!(end("./a:b"), End::Local(_)));
        assert!(matches!(end("/a:b"), End::Local(_)));
        assert!(matches!(end("-"), End::Archive));
    }
}
