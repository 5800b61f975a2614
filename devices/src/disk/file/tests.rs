use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tempfile::NamedTempFile;
use vm_memory::GuestAddress;

use super::*;
use crate::memory::GuestRam;

const WRITABLE: OpenOptions = OpenOptions { read_only: false, direct: false };
const READ_ONLY: OpenOptions = OpenOptions { read_only: true, direct: false };

fn file_of(len: u64) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(len).unwrap();
    file
}

fn buffers(len: usize) -> Buffers {
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let mut buffers = Buffers::new(Arc::new(ram));
    buffers.push(GuestAddress(0), len);
    buffers
}

#[test]
fn what_is_written_is_read_back() {
    let disk = FileDisk::open(file_of(4096).path(), WRITABLE).unwrap();
    let data = buffers(1024);
    data.copy_from(&[7; 1024]).unwrap();
    disk.write(data, 512).unwrap();
    let back = buffers(1024);
    disk.read(back.clone(), 512).unwrap();
    let mut bytes = [0; 1024];
    back.copy_to(&mut bytes).unwrap();
    assert_eq!(bytes, [7; 1024]);
}

#[test]
fn read_past_the_end_of_a_truncated_file_fails() {
    let file = file_of(4096);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    file.as_file().set_len(1024).unwrap();
    let error = disk.read(buffers(1024), 512).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn disk_is_writable_by_one_user_only() {
    let file = file_of(512);
    let first = FileDisk::open(file.path(), WRITABLE).unwrap();
    let error = FileDisk::open(file.path(), WRITABLE).unwrap_err();
    assert!(matches!(error, OpenDiskError::InUse { read_only: false, .. }), "{error}");
    let error = FileDisk::open(file.path(), READ_ONLY).unwrap_err();
    assert!(matches!(error, OpenDiskError::InUse { read_only: true, .. }), "{error}");
    drop(first);
    FileDisk::open(file.path(), WRITABLE).unwrap();
}

#[test]
fn read_only_disk_has_any_number_of_users_but_no_writer() {
    let file = file_of(512);
    let _first = FileDisk::open(file.path(), READ_ONLY).unwrap();
    let _second = FileDisk::open(file.path(), READ_ONLY).unwrap();
    assert!(matches!(
        FileDisk::open(file.path(), WRITABLE),
        Err(OpenDiskError::InUse { read_only: false, .. })
    ));
}

#[test]
fn lock_goes_with_the_disk_while_its_file_is_still_open_elsewhere() {
    let file = file_of(512);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    let _kept = Arc::clone(&disk.file);
    drop(disk);
    FileDisk::open(file.path(), WRITABLE).unwrap();
}

#[test]
fn error_names_the_path() {
    let error = FileDisk::open(Path::new("/nonexistent/disk"), WRITABLE).unwrap_err();
    assert_eq!(error.to_string(), "failed to open disk /nonexistent/disk");
}

#[test]
fn directory_and_fifo_are_no_disks() {
    let folder = tempfile::tempdir().unwrap();
    let error = FileDisk::open(folder.path(), READ_ONLY).unwrap_err();
    assert!(matches!(error, OpenDiskError::NotADisk { .. }), "{error}");
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let error = FileDisk::open(&fifo, READ_ONLY).unwrap_err();
    assert!(matches!(error, OpenDiskError::NotADisk { .. }), "{error}");
}

#[test]
fn replacement_by_the_same_path_keeps_the_lock_and_sees_the_new_size() {
    let file = file_of(512);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    file.as_file().set_len(2048).unwrap();
    let new = disk.replacement(file.path()).unwrap();
    assert_eq!((disk.size(), new.size()), (512, 2048));
    drop(disk);
    assert!(matches!(FileDisk::open(file.path(), WRITABLE), Err(OpenDiskError::InUse { .. })));
}

#[test]
fn replacement_that_somebody_else_writes_is_refused() {
    let (ours, theirs) = (file_of(512), file_of(512));
    let disk = FileDisk::open(ours.path(), WRITABLE).unwrap();
    let _other = FileDisk::open(theirs.path(), WRITABLE).unwrap();
    let error = disk.replacement(theirs.path()).unwrap_err();
    assert!(matches!(error, OpenDiskError::InUse { .. }), "{error}");
}

#[test]
fn descriptor_without_write_access_is_refused_for_a_writable_disk() {
    let file = file_of(512);
    let handle = File::open(file.path()).unwrap();
    let error = FileDisk::from_file(handle, file.path(), WRITABLE).unwrap_err();
    assert!(matches!(error, OpenDiskError::Access { .. }), "{error}");
    let handle = File::open(file.path()).unwrap();
    FileDisk::from_file(handle, file.path(), READ_ONLY).unwrap();
}

#[test]
fn size_is_looked_at_again_when_asked() {
    let file = file_of(512);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    file.as_file().set_len(1024).unwrap();
    assert_eq!(disk.size(), 512);
    assert_eq!(disk.refresh_size().unwrap(), 1024);
    assert_eq!(disk.size(), 1024);
}

fn filled(len: usize) -> NamedTempFile {
    let file = file_of(len as u64);
    file.as_file().write_all_at(&vec![0xaa; len], 0).unwrap();
    file.as_file().sync_all().unwrap();
    file
}

fn contents(file: &NamedTempFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.reopen().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn assert_zeroed(bytes: &[u8], from: usize, to: usize) {
    assert!(bytes[..from].iter().all(|b| *b == 0xaa), "bytes before the extent were changed");
    assert!(bytes[from..to].iter().all(|b| *b == 0), "bytes of the extent are not zero");
    assert!(bytes[to..].iter().all(|b| *b == 0xaa), "bytes after the extent were changed");
}

#[test]
fn write_zeroes_changes_the_extent_and_nothing_else() {
    let file = filled(1 << 20);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    disk.write_zeroes(Extent { offset: 512, len: 200_704 }, false).unwrap();
    assert_zeroed(&contents(&file), 512, 512 + 200_704);
}

#[test]
fn write_zeroes_with_unmap_gives_storage_back() {
    let file = filled(1 << 20);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    let before = file.as_file().metadata().unwrap().blocks();
    disk.write_zeroes(Extent { offset: 65536, len: 524_288 }, true).unwrap();
    assert_zeroed(&contents(&file), 65536, 65536 + 524_288);
    assert!(file.as_file().metadata().unwrap().blocks() < before);
}

#[test]
fn discard_gives_storage_back_and_keeps_the_size() {
    let file = filled(1 << 20);
    let disk = FileDisk::open(file.path(), WRITABLE).unwrap();
    let before = file.as_file().metadata().unwrap().blocks();
    disk.discard(Extent { offset: 524_288, len: 524_288 }).unwrap();
    let after = file.as_file().metadata().unwrap();
    assert!(after.blocks() < before);
    assert_eq!(after.len(), 1 << 20);
}

#[test]
fn zeroes_are_written_where_there_is_no_shorter_way() {
    let file = filled(1 << 18);
    discard::write_zero_bytes(file.as_file(), Extent { offset: 512, len: 131_584 }, 1).unwrap();
    assert_zeroed(&contents(&file), 512, 512 + 131_584);
}

#[test]
fn direct_disk_tells_its_alignment_or_refuses() {
    let file = file_of(8192);
    match FileDisk::open(file.path(), OpenOptions { read_only: false, direct: true }) {
        Ok(disk) => assert!(disk.alignment() >= 512 && disk.alignment().is_power_of_two()),
        Err(error) => assert!(matches!(error, OpenDiskError::NoDirectIo { .. }), "{error}"),
    }
}
