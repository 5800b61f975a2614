//! Loading the kernel modules that the initramfs carries, those of containers only when there is
//! one.

use std::{fs, io, path::Path};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    system::finit_module,
};

/// One absolute path a line, in load order; the files are not compressed. Empty lines and lines
/// that begin with `#` are skipped.
const AT_BOOT: &str = "/etc/bulkhead/modules";

/// As [`AT_BOOT`], for file systems of containers.
const FOR_CONTAINERS: &str = "/etc/bulkhead/container-modules";

/// Loads the modules that every machine has.
pub(crate) fn load() {
    load_list(AT_BOOT);
}

/// Loads the modules that containers need. Again, it does nothing.
pub(crate) fn load_for_containers() {
    load_list(FOR_CONTAINERS);
}

/// Loads the modules of a list. A missing list means none; what fails is said and skipped, as
/// the machine may do without.
fn load_list(list: &str) {
    match fs::read_to_string(list) {
        Ok(text) => {
            for path in paths(&text) {
                if let Err(error) = load_one(path) {
                    crate::say!("failed to load module {path}: {error}");
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => crate::say!("failed to read {list}: {error}"),
    }
}

fn paths(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn load_one(path: impl AsRef<Path>) -> io::Result<()> {
    let file = open(path.as_ref(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match finit_module(&file, c"", 0) {
        // Loaded before, or built in.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_name_no_module() {
        let list = "# first\n/lib/a.ko\n\n  /lib/b.ko \n";
        assert_eq!(paths(list).collect::<Vec<_>>(), ["/lib/a.ko", "/lib/b.ko"]);
    }
}
