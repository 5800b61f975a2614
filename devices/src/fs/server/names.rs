//! Names in folders: finding, removing, renaming, linking.

use rustix::fs::{AtFlags, FileType, RenameFlags, linkat, readlinkat, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::{Answer, Call, Server};
use crate::fs::protocol::{
    BatchForgetIn, EntryOut, ForgetIn, ForgetOne, LinkIn, Rename2In, RenameIn,
};
use crate::fs::share::Cache;

/// Nodes that one request gives back at most; a guest's kernel stays far below.
const MAX_FORGOTTEN: u32 = 1 << 16;

impl Server {
    pub(super) fn lookup(&mut self, call: Call) -> Result<Answer, Errno> {
        let name = call.arguments.name()?;
        match self.lookup_name(call.node, &name) {
            Ok(entry) => Ok(Answer::of(&entry)),
            // A node that is none: the guest may remember that there is nothing.
            Err(Errno::NOENT) if self.share.options.cache == Cache::Always => {
                let (entry_valid, _) = self.valid();
                Ok(Answer::of(&EntryOut { entry_valid, ..EntryOut::default() }))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn lookup_name(
        &mut self,
        folder: u64,
        name: &std::ffi::CStr,
    ) -> Result<EntryOut, Errno> {
        let fd = match self.single_file(folder) {
            Some((single, file)) if single == name => rustix::io::fcntl_dupfd_cloexec(file, 0)?,
            Some(_) => return Err(Errno::NOENT),
            None => self.find_with_room(folder, name)?,
        };
        self.enter(fd, self.single_file(folder).is_none().then_some((folder, name)))
    }

    pub(super) fn forget(&mut self, mut call: Call) -> Result<Answer, Errno> {
        if let Ok(forget) = call.arguments.take::<ForgetIn>() {
            self.nodes.forget(call.node, forget.lookups);
        }
        Ok(Answer::Silence)
    }

    pub(super) fn batch_forget(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let count = call.arguments.take::<BatchForgetIn>().map_or(0, |batch| batch.count);
        for _ in 0..count.min(MAX_FORGOTTEN) {
            let Ok(one) = call.arguments.take::<ForgetOne>() else { break };
            self.nodes.forget(one.node, one.lookups);
        }
        Ok(Answer::Silence)
    }

    pub(super) fn readlink(&mut self, call: Call) -> Result<Answer, Errno> {
        let node = self.nodes.get(call.node)?;
        if node.kind() != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        let target = readlinkat(node, c"", Vec::new())?;
        Ok(Answer::Bytes(target.as_bytes().into()))
    }

    pub(super) fn unlink(&mut self, call: Call) -> Result<Answer, Errno> {
        self.remove(call, AtFlags::empty())
    }

    pub(super) fn rmdir(&mut self, call: Call) -> Result<Answer, Errno> {
        self.remove(call, AtFlags::REMOVEDIR)
    }

    fn remove(&mut self, call: Call, flags: AtFlags) -> Result<Answer, Errno> {
        let name = call.arguments.name()?;
        self.keep(call.node, &name);
        unlinkat(self.nodes.folder(call.node)?, name, flags)?;
        Ok(Answer::Empty)
    }

    pub(super) fn rename(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let RenameIn { new_folder } = call.arguments.take()?;
        self.rename_with(call, new_folder, RenameFlags::empty())
    }

    pub(super) fn rename2(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let rename: Rename2In = call.arguments.take()?;
        // A whiteout is a device node.
        let allowed = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        let flags = RenameFlags::from_bits(rename.flags).filter(|flags| allowed.contains(*flags));
        self.rename_with(call, rename.new_folder, flags.ok_or(Errno::INVAL)?)
    }

    fn rename_with(
        &mut self,
        call: Call,
        new_folder: u64,
        flags: RenameFlags,
    ) -> Result<Answer, Errno> {
        let [old_name, new_name] = call.arguments.names()?;
        if !flags.contains(RenameFlags::EXCHANGE) {
            self.keep(new_folder, &new_name);
        }
        let (old, new) = (self.nodes.folder(call.node)?, self.nodes.folder(new_folder)?);
        renameat_with(old, &*old_name, new, &*new_name, flags)?;
        self.moved(new_folder, &new_name);
        if flags.contains(RenameFlags::EXCHANGE) {
            self.moved(call.node, &old_name);
        }
        Ok(Answer::Empty)
    }

    pub(super) fn link(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let LinkIn { node } = call.arguments.take()?;
        let name = call.arguments.name()?;
        self.open_again(node)?;
        let (target, folder) = (self.nodes.get(node)?, self.nodes.folder(call.node)?);
        let descriptors = &self.share.descriptors;
        // It is the descriptor's link that is followed; it ends at what the descriptor names.
        let flags = AtFlags::SYMLINK_FOLLOW;
        linkat(descriptors, DecInt::from_fd(target), folder, &*name, flags)?;
        Ok(Answer::of(&self.lookup_name(call.node, &name)?))
    }
}
