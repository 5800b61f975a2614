//! Where reading begins.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::writer::numbered;

/// Bytes that are read at once when lines are counted from the end.
const BLOCK: u64 = 64 * 1024;

/// A place in the files: how many rotations ago the file was the newest, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) age: u64,
    pub(super) offset: u64,
}

/// The beginning of the oldest file.
pub(super) fn oldest(path: &Path) -> Position {
    let mut age = 0;
    while numbered(path, age + 1).exists() {
        age += 1;
    }
    Position { age, offset: 0 }
}

/// The place from which there are `lines` lines to the end; the oldest where there are fewer.
pub(super) fn tail(path: &Path, lines: usize) -> io::Result<Position> {
    let mut missing = lines;
    for age in 0.. {
        let file = match File::open(numbered(path, age)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && age > 0 => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match tail_of(&file, &mut missing)? {
            Some(offset) => return Ok(Position { age, offset }),
            None => continue,
        }
    }
    Ok(oldest(path))
}

/// Counts the lines of a file from its end.
fn tail_of(file: &File, missing: &mut usize) -> io::Result<Option<u64>> {
    let mut end = file.metadata()?.len();
    if *missing == 0 {
        return Ok(Some(end));
    }
    let mut block = Vec::new();
    let mut last = true;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        block.resize(usize::try_from(end - begin).unwrap_or_default(), 0);
        file.read_exact_at(&mut block, begin)?;
        for (index, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' && !std::mem::take(&mut last) {
                *missing -= 1;
                if *missing == 0 {
                    return Ok(Some(begin + u64::try_from(index).unwrap_or_default() + 1));
                }
            }
            last = false;
        }
        end = begin;
    }
    // The first line has no line feed before it.
    if !last {
        *missing -= 1;
    }
    Ok((*missing == 0).then_some(0))
}
