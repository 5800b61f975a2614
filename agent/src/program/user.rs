//! Who a command runs as. The files are read directly: a static program has no name services.
//!
//! In a container the files are the image's, so they may be anything: what is no regular file
//! lists nobody, and of a huge one the beginning counts.

use std::{
    fs::File,
    io::{self, Read},
};

use rustix::{
    fs::{FileType, Gid, Mode, OFlags, Uid, fstat, open},
    io::Errno,
};

/// How much of a file is read.
const LONGEST: u64 = 4 << 20;

/// A user specification could not be resolved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// Not a number, and not in `/etc/passwd`.
    #[error("No such user: {0}")]
    NoUser(String),
    /// Not a number, and not in `/etc/group`.
    #[error("No such group: {0}")]
    NoGroup(String),
    /// A file could not be read.
    #[error("Failed to read {path}")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A resolved user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Supplementary groups.
    pub(crate) groups: Vec<Gid>,
    /// From `/etc/passwd`, else `/`.
    pub(crate) home: String,
}

impl User {
    /// Resolves `user[:group]`, each a name or a number, in the guest's files.
    pub(crate) fn find(spec: &str) -> Result<Self, UserError> {
        Self::find_in(spec, &read("/etc/passwd")?, &read("/etc/group")?)
    }

    /// The number of a group given by name or number.
    pub(crate) fn find_group(name: &str) -> Result<Gid, UserError> {
        find_group(name, &read("/etc/group")?).map(Gid::from_raw)
    }

    /// As [`Self::find`], with the contents of the files. A number need not be listed; a user
    /// without a listed group has group 0, as in container engines.
    fn find_in(spec: &str, passwd: &str, group: &str) -> Result<Self, UserError> {
        let (user, group_name) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let number = parse_id(user);
        let line = records(passwd).find(|fields| {
            fields.first() == Some(&user) || (number.is_some() && id_field(fields) == number)
        });
        let uid = line.as_deref().and_then(id_field).or(number);
        let uid = uid.ok_or_else(|| UserError::NoUser(user.to_owned()))?;
        let field = |index: usize| line.as_ref().and_then(|fields| fields.get(index)).copied();
        let gid = match group_name {
            Some(name) => find_group(name, group)?,
            None => field(3).and_then(parse_id).unwrap_or(0),
        };
        // An explicit group replaces the user's own, as in container engines.
        let groups = match (group_name, field(0)) {
            (None, Some(name)) => groups_of(name, group),
            _ => Vec::new(),
        };
        let home = field(5).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups, home })
    }
}

/// The name of a user by number, where it is listed.
pub(crate) fn name_of(uid: u32) -> Option<String> {
    let passwd = read("/etc/passwd").ok()?;
    let found = records(&passwd).find(|fields| id_field(fields) == Some(uid))?;
    found.first().map(|name| (*name).to_owned())
}

/// A missing file lists nobody.
fn read(path: &'static str) -> Result<String, UserError> {
    let failed = |source| UserError::Read { path, source };
    // Without waiting: a pipe is opened too.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO) => return Ok(String::new()),
        Err(errno) => return Err(failed(errno.into())),
    };
    let status = fstat(&file).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    // With room for all of it and the end, so that it is read at once.
    let length = u64::try_from(status.st_size).unwrap_or(0).min(LONGEST);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 64);
    File::from(file).take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn records(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

/// The third field of either file. The kernel reserves the highest number for "unchanged".
fn id_field(fields: &[&str]) -> Option<u32> {
    fields.get(2).copied().and_then(parse_id)
}

fn parse_id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn find_group(name: &str, group: &str) -> Result<u32, UserError> {
    let listed = records(group).find(|fields| fields.first() == Some(&name));
    let gid = listed.as_deref().and_then(id_field).or_else(|| parse_id(name));
    gid.ok_or_else(|| UserError::NoGroup(name.to_owned()))
}

fn groups_of(user: &str, group: &str) -> Vec<Gid> {
    records(group)
        .filter(|fields| fields.get(3).is_some_and(|list| list.split(',').any(|m| m == user)))
        .filter_map(|fields| id_field(&fields))
        .map(Gid::from_raw)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\nbad\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\naudio:x:29:web,root\nlog:x:4:web\n";

    fn find(spec: &str) -> Result<User, UserError> {
        User::find_in(spec, PASSWD, GROUP)
    }

    #[test]
    fn a_name_brings_its_groups_and_home() {
        let expected = User {
            uid: Uid::from_raw(33),
            gid: Gid::from_raw(34),
            groups: vec![Gid::from_raw(29), Gid::from_raw(4)],
            home: "/var/www".into(),
        };
        assert_eq!(find("web").unwrap(), expected);
        assert_eq!(find("33").unwrap(), expected);
    }

    #[test]
    fn an_explicit_group_replaces_the_listed_ones() {
        let user = find("web:audio").unwrap();
        assert_eq!((user.gid, user.groups), (Gid::from_raw(29), vec![]));
        assert_eq!(find("web:7").unwrap().gid, Gid::from_raw(7));
    }

    #[test]
    fn an_unlisted_number_is_a_user_with_group_0() {
        let user = find("1000").unwrap();
        assert_eq!((user.uid, user.gid), (Uid::from_raw(1000), Gid::from_raw(0)));
        assert_eq!(user.home, "/");
    }

    #[test]
    fn unknown_names_are_named_in_the_error() {
        assert_eq!(find("eve").unwrap_err().to_string(), "No such user: eve");
        assert_eq!(find("web:eve").unwrap_err().to_string(), "No such group: eve");
    }

    #[test]
    fn the_number_that_means_unchanged_is_refused() {
        assert!(matches!(find("4294967295"), Err(UserError::NoUser(_))));
    }
}
