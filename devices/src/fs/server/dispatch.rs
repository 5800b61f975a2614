//! From operations to the functions that do them.

use rustix::io::Errno;

use super::{Answer, Call, Server};
use crate::fs::protocol::Opcode;

impl Server {
    pub(super) fn dispatch(&mut self, opcode: Opcode, call: Call) -> Result<Answer, Errno> {
        match opcode {
            Opcode::Init => return self.init(call),
            Opcode::Destroy => {
                self.reset();
                return Ok(Answer::Empty);
            }
            Opcode::Forget => return self.forget(call),
            Opcode::BatchForget => return self.batch_forget(call),
            // Requests are done one after the other: this one came too late.
            Opcode::Interrupt => return Ok(Answer::Silence),
            _ => self.session().map(drop)?,
        }
        if self.share.options.read_only && changes(opcode) {
            return Err(Errno::ROFS);
        }
        self.open_again(call.node)?;
        match opcode {
            Opcode::Lookup => self.lookup(call),
            Opcode::Getattr => self.getattr(call),
            Opcode::Readlink => self.readlink(call),
            Opcode::Open => self.open(call),
            Opcode::Read => self.read(call),
            Opcode::Statfs => self.statfs(call),
            Opcode::Release => self.release(call),
            Opcode::Fsync => self.fsync(call),
            Opcode::Getxattr => self.getxattr(call),
            Opcode::Listxattr => self.listxattr(call),
            Opcode::Opendir => self.opendir(call),
            Opcode::Readdir => self.readdir(call, false),
            Opcode::Readdirplus => self.readdir(call, true),
            Opcode::Releasedir => self.release(call),
            Opcode::Fsyncdir => self.fsyncdir(call),
            Opcode::Lseek => self.lseek(call),
            Opcode::Syncfs => self.syncfs(),
            _ => self.change(opcode, call),
        }
    }

    /// Operations of [`changes`].
    fn change(&mut self, opcode: Opcode, call: Call) -> Result<Answer, Errno> {
        match opcode {
            Opcode::Setattr => self.setattr(call),
            Opcode::Symlink => self.symlink(call),
            Opcode::Mknod => self.mknod(call),
            Opcode::Mkdir => self.mkdir(call),
            Opcode::Unlink => self.unlink(call),
            Opcode::Rmdir => self.rmdir(call),
            Opcode::Rename => self.rename(call),
            Opcode::Rename2 => self.rename2(call),
            Opcode::Link => self.link(call),
            Opcode::Write => self.write(call),
            Opcode::Setxattr => self.setxattr(call),
            Opcode::Removexattr => self.removexattr(call),
            Opcode::Create => self.create(call),
            Opcode::Tmpfile => self.tmpfile(call),
            Opcode::Fallocate => self.fallocate(call),
            Opcode::CopyFileRange => self.copy_file_range(call),
            _ => Err(Errno::NOSYS),
        }
    }
}

/// Whether an operation is none for a share that is read-only. Opening for writing is judged
/// where files are opened.
fn changes(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Setattr
            | Opcode::Symlink
            | Opcode::Mknod
            | Opcode::Mkdir
            | Opcode::Unlink
            | Opcode::Rmdir
            | Opcode::Rename
            | Opcode::Rename2
            | Opcode::Link
            | Opcode::Write
            | Opcode::Setxattr
            | Opcode::Removexattr
            | Opcode::Create
            | Opcode::Tmpfile
            | Opcode::Fallocate
            | Opcode::CopyFileRange
    )
}
