//! Finding a program and executing it.

use std::{
    convert::Infallible,
    ffi::{CStr, CString},
    io,
};

use nix::{errno::Errno, unistd::execve};

use super::LaunchError;

/// Executes the program named by the first argument: as it is when there is a slash in it, else
/// the first of that name in the environment's `PATH` (as execvp(3), but a file without a known
/// format is not taken for a shell script). Returns only when that fails.
pub(super) fn execute(
    arguments: &[CString],
    environment: &[CString],
) -> Result<Infallible, LaunchError> {
    let program = arguments.first().ok_or(LaunchError::Empty)?;
    let name = || super::lossy(program.as_bytes());
    let mut denied = None;
    for path in candidates(program, environment) {
        let Err(errno) = execve(&path, arguments, environment);
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => denied = Some(errno),
            errno => {
                return Err(LaunchError::NotExecutable { program: name(), source: errno.into() });
            }
        }
    }
    match denied {
        Some(errno) => {
            Err(LaunchError::NotExecutable { program: name(), source: io::Error::from(errno) })
        }
        None => Err(LaunchError::NotFound(name())),
    }
}

fn candidates(program: &CStr, environment: &[CString]) -> Vec<CString> {
    let name = program.to_bytes();
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    let path = environment.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    path.unwrap_or_default()
        .split(|byte| *byte == b':')
        .filter_map(|folder| {
            // An empty entry is the working directory.
            let folder = if folder.is_empty() { b"." } else { folder };
            CString::new([folder, b"/", name].concat()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(program: &str, path: &str) -> Vec<String> {
        let program = CString::new(program).unwrap();
        let environment = [CString::new(format!("PATH={path}")).unwrap()];
        let found = candidates(&program, &environment);
        found.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_sought_in_each_folder() {
        assert_eq!(found("ls", "/bin::/x"), ["/bin/ls", "./ls", "/x/ls"]);
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(found("./ls", "/bin"), ["./ls"]);
        assert!(found("", "/bin").is_empty());
    }
}
