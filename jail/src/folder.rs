//! One folder as all that a thread can open (Landlock, landlock(7)).
//!
//! Filters of system calls see numbers and no paths. A thread that has to open files is shut in
//! here besides: whatever it is brought to do, files elsewhere stay closed to it, and so do those
//! of its folder that somebody moves out.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// The newest version of the rules that is made use of; older kernels enforce what they know.
const RULES: ABI = ABI::V5;

/// Why a thread cannot be shut in.
#[derive(Debug, thiserror::Error)]
#[error("failed to shut a thread in its folder")]
pub struct FolderError(#[from] RulesetError);

/// Shuts the calling thread in `folder`, or in a single file. What is open stays so. Needs
/// `no_new_privs`, see [`Privileges::seal`](crate::privileges::Privileges::seal). Gives whether
/// the kernel knows how: one that does not is no error, since this is a second wall.
///
/// # Errors
/// The kernel refused.
pub fn shut_in(folder: BorrowedFd<'_>, read_only: bool) -> Result<bool, FolderError> {
    // Without this right, of Linux 5.19, nothing could be renamed from one folder to another.
    let known = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer);
    let Ok(ruleset) = known else { return Ok(false) };
    let status = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .create()?
        .no_new_privs(false)
        .add_rule(PathBeneath::new(folder, allowed(read_only)))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

fn allowed(read_only: bool) -> BitFlags<AccessFs> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    if read_only {
        return reading;
    }
    let never = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    AccessFs::from_all(RULES) & !never
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::os::fd::AsFd;

    use super::*;
    use crate::privileges::Privileges;

    /// Runs `act` on a thread that is shut in a folder with `in` and a folder `sub`; beside it is
    /// `out`. `None` where the kernel cannot.
    fn shut<R: Send>(read_only: bool, act: impl FnOnce(&std::path::Path) -> R + Send) -> Option<R> {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("folder");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("in"), "").unwrap();
        fs::write(place.path().join("out"), "").unwrap();
        let opened = File::open(&folder).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                Privileges::default().seal().unwrap();
                shut_in(opened.as_fd(), read_only).unwrap().then(|| act(&folder))
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn files_elsewhere_are_closed_and_those_of_the_folder_open() {
        let results = shut(false, |folder| {
            fs::write(folder.join("new"), "x").unwrap();
            fs::rename(folder.join("new"), folder.join("sub/new")).unwrap();
            assert_eq!(fs::read(folder.join("sub/new")).unwrap(), b"x");
            fs::remove_file(folder.join("sub/new")).unwrap();
            let moved = fs::rename(folder.join("in"), folder.join("../in"));
            [
                File::open(folder.join("../out")).map(drop),
                File::open("/etc/passwd").map(drop),
                moved,
            ]
        });
        for result in results.into_iter().flatten() {
            let kind = result.unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::PermissionDenied | ErrorKind::CrossesDevices));
        }
    }

    #[test]
    fn read_only_folder_can_be_read_and_nothing_else() {
        let results = shut(true, |folder| {
            File::open(folder.join("in")).unwrap();
            [
                fs::write(folder.join("in"), "x"),
                fs::create_dir(folder.join("new")),
                fs::remove_file(folder.join("in")),
            ]
        });
        for result in results.into_iter().flatten() {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
    }
}
