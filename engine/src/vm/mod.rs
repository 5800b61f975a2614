//! Machines as such: those that the engine runs for containers, and plain ones that users ask for.
//!
//! A plain machine is a kernel and disks, without an agent. It is written down before its monitor
//! starts, outlives the engine as all machines do, and is found again by the next one.
//!
//! | module | what it holds |
//! |---|---|
//! | [`document`] | what clients send and get |
//! | [`record`] | what is written down of a plain machine |
//! | [`request`] | a request, checked, as a monitor's document |
//! | [`plain`] | a plain machine, live |
//! | [`machine`] | a machine of either kind, and what can be done with it |

pub mod document;
mod error;
pub mod machine;
pub mod plain;
pub mod record;
mod request;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use self::error::VmError;
pub use self::machine::Machine;
use self::plain::Plain;
use self::record::VmRecord;
use crate::container::{self, moment, names};
use crate::events::Bus;
use crate::http::error::chain;
use crate::sandbox::Sandboxes;
use crate::store::{Store, Table};

/// All machines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    ground: Arc<Ground>,
    containers: container::Service,
}

/// What plain machines stand on.
#[derive(Debug)]
pub(crate) struct Ground {
    table: Table<VmRecord>,
    sandboxes: Sandboxes,
    events: Bus,
    all: Mutex<HashMap<String, Arc<Plain>>>,
}

impl Service {
    /// The machines that the store knows. None is looked after before [`Self::adopt`].
    pub fn open(
        store: &Store,
        sandboxes: Sandboxes,
        events: Bus,
        containers: container::Service,
    ) -> Result<Self, VmError> {
        let all = Mutex::default();
        let ground = Arc::new(Ground { table: store.table(), sandboxes, events, all });
        let records = ground.table.list().map_err(|error| VmError::Store(chain(&error)))?;
        for (_, record) in records {
            ground.add(Plain::new(Arc::clone(&ground), record));
        }
        Ok(Self { ground, containers })
    }

    /// The ids of plain machines, whose folders are not for others to remove.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.ground.all().iter().map(|plain| plain.id.clone()).collect()
    }

    /// Finds the machines again that an earlier engine left. To be called once, before clients are
    /// served.
    pub async fn adopt(&self) {
        for plain in self.ground.all() {
            plain.find_again().await;
        }
    }

    /// All machines: plain ones, running or not, and those that run for containers.
    #[must_use]
    pub fn all(&self) -> Vec<Machine> {
        let plain = self.ground.all().into_iter().map(Machine::Plain);
        plain.chain(machine::of_containers(&self.containers)).collect()
    }

    /// The machine that `text` means: an id, a name, or the beginning of an id.
    pub fn find(&self, text: &str) -> Result<Machine, VmError> {
        let all = self.all();
        let exact = |machine: &&Machine| machine.id() == text || machine.name() == text;
        if let Some(machine) = all.iter().find(exact) {
            return Ok(machine.clone());
        }
        let mut fitting = all.iter().filter(|machine| machine.id().starts_with(text));
        match (fitting.next(), fitting.next()) {
            (Some(machine), None) if !text.is_empty() => Ok(machine.clone()),
            (Some(_), Some(_)) if !text.is_empty() => Err(VmError::Ambiguous(text.to_owned())),
            _ => Err(VmError::NotFound(text.to_owned())),
        }
    }

    /// Makes a plain machine. It does not run yet.
    pub async fn create(&self, request: document::VmCreate) -> Result<Arc<Plain>, VmError> {
        let id = names::new_id().map_err(|error| VmError::Failed(error.to_string()))?;
        let name = match &request.name {
            Some(name) => names::checked(name).map_err(|_| VmError::InvalidName(name.clone()))?,
            None => names::short_id(&id).to_owned(),
        };
        // Found here, an error is not a line of a monitor's log.
        request::document(&request, &self.ground.sandboxes.folder(&id))?;
        let created_ns = moment::now_ns();
        let record = VmRecord { id, name, created_ns, request, ..VmRecord::default() };
        let plain = Plain::new(Arc::clone(&self.ground), record);
        // From here on nobody else gets the name.
        self.ground.add_new(Arc::clone(&plain))?;
        if let Err(error) = plain.write_down().await {
            self.ground.forget(&plain.id);
            return Err(error);
        }
        plain.emit("create");
        Ok(plain)
    }
}

impl Ground {
    fn add(&self, plain: Arc<Plain>) {
        container::live::lock(&self.all).insert(plain.id.clone(), plain);
    }

    fn add_new(&self, plain: Arc<Plain>) -> Result<(), VmError> {
        let mut all = container::live::lock(&self.all);
        let name = plain.name();
        if let Some(holder) = all.values().find(|other| other.name() == name) {
            return Err(VmError::NameTaken { name, holder: holder.id.clone() });
        }
        all.insert(plain.id.clone(), plain);
        Ok(())
    }

    /// Whether it has not been removed.
    fn is_known(&self, id: &str) -> bool {
        container::live::lock(&self.all).contains_key(id)
    }

    fn forget(&self, id: &str) {
        container::live::lock(&self.all).remove(id);
    }

    /// Newest first.
    fn all(&self) -> Vec<Arc<Plain>> {
        let mut all: Vec<_> = container::live::lock(&self.all).values().cloned().collect();
        all.sort_by_cached_key(|plain| std::cmp::Reverse(plain.record().created_ns));
        all
    }
}
