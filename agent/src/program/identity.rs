//! Taking a user's identity and giving up what the command may not do.

use agent_protocol::message::Confinement;
use rustix::{
    fs::Gid,
    io::Errno,
    thread::{CapabilitySet, set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid},
};

use crate::container::devices;

use super::{
    LaunchError, capabilities,
    seccomp::{Compiled, Filter},
    user::User,
};

/// Whom a command runs as and what it may do; `None` leaves things as they are.
pub(super) struct Identity<'a> {
    pub(super) user: Option<&'a User>,
    pub(super) confinement: Option<&'a Confinement>,
    /// The container's filter, which may be another's than the confinement's.
    pub(super) compiled: Option<&'a Compiled>,
}

impl Identity<'_> {
    /// Becomes this. In the child there is one thread, so the thread's identity is the process's.
    pub(super) fn take(&self) -> Result<(), LaunchError> {
        let failed = |errno: Errno| LaunchError::Identity(errno.into());
        let allowed = match self.confinement {
            Some(confinement) => Some(allowed(&confinement.capabilities)?),
            None => None,
        };
        let own;
        let filter = match (self.confinement, self.compiled) {
            (None, _) => None,
            (Some(confinement), Some(known)) if known.is_of(confinement) => known.filter(),
            (Some(confinement), _) => {
                own = Compiled::of(confinement)?;
                own.filter()
            }
        };
        let install = |filter: &Filter| filter.install().map_err(LaunchError::Identity);
        if let Some(allowed) = allowed {
            capabilities::bound(allowed).map_err(failed)?;
        }
        let closed = self.confinement.is_some_and(|confinement| confinement.no_new_privileges);
        if closed {
            set_no_new_privs(true).map_err(failed)?;
        } else if let Some(filter) = filter {
            // Only root may do this now, so what follows must pass the filter.
            install(filter)?;
        }
        if let Some(user) = self.user {
            set_thread_groups(&self.groups(user)?).map_err(failed)?;
            set_thread_gid(user.gid).map_err(failed)?;
            // Takes all capabilities away unless it is root.
            set_thread_uid(user.uid).map_err(failed)?;
        }
        if let Some(allowed) = allowed {
            capabilities::keep(allowed).map_err(failed)?;
        }
        if let Some(filter) = filter.filter(|_| closed) {
            install(filter)?;
        }
        Ok(())
    }

    fn groups(&self, user: &User) -> Result<Vec<Gid>, LaunchError> {
        let mut groups = user.groups.clone();
        for name in self.confinement.map_or(&[][..], |confinement| &confinement.groups) {
            let group = User::find_group(name)?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(groups)
    }
}

/// The named capabilities. Nodes of devices are not to be made where the kernel cannot keep them
/// from being used, but by those who can mount the machine's.
fn allowed(names: &[String]) -> Result<CapabilitySet, LaunchError> {
    let named = capabilities::set_of(names)?;
    if named.contains(CapabilitySet::SYS_ADMIN) || devices::can_be_closed() {
        return Ok(named);
    }
    Ok(named.difference(CapabilitySet::MKNOD))
}
