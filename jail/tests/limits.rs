//! Limits in force. They are the process's, so this is the only test of its process.

use std::fs::File;

use jail::limits::Limits;

#[test]
fn limits_hold_and_cannot_be_raised_again() {
    let file = tempfile::tempfile().unwrap();
    Limits { open_files: Some(40), file_size: None, core: Some(0) }.apply().unwrap();
    assert_eq!(Limits::raise_open_files().unwrap(), Some(40));
    let clones: Result<Vec<File>, _> = (0..40).map(|_| file.try_clone()).collect();
    assert_eq!(clones.unwrap_err().raw_os_error(), Some(libc::EMFILE));
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
}
