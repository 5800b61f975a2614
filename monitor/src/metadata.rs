//! The metadata service: its document from the API, its answers to the guest.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use api::vm::VmFault;
use devices::mmds::token::TokenAuthority;
use devices::mmds::{Endpoint, Mmds, MmdsMetrics, SharedMmds, StoreError, Version};
use devices::virtio::net::Detour;
use serde_json::Value;
use vm_spec::{MmdsSpec, MmdsVersion};

/// The service of this machine.
pub(crate) struct Metadata {
    store: SharedMmds,
    pub(crate) metrics: Arc<MmdsMetrics>,
}

impl Metadata {
    /// A service with up to `limit` bytes, for the machine `id`.
    pub(crate) fn new(id: &str, limit: usize) -> anyhow::Result<Self> {
        let tokens = TokenAuthority::random(id).context("failed to make a key for MMDS tokens")?;
        let store = Arc::new(RwLock::new(Mmds::new(limit, tokens)));
        Ok(Self { store, metrics: Arc::default() })
    }

    /// The whole document.
    pub(crate) fn get(&self) -> Value {
        self.store.read().unwrap_or_else(PoisonError::into_inner).document().clone()
    }

    /// Replaces the document.
    pub(crate) fn put(&self, document: Value) -> Result<(), VmFault> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.put(document).map_err(fault)
    }

    /// Changes the document by a merge patch.
    pub(crate) fn patch(&self, patch: Value) -> Result<(), VmFault> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.patch(patch).map_err(fault)
    }

    /// What answers the guest.
    pub(crate) fn detour(&self, spec: &MmdsSpec) -> Result<Arc<dyn Detour>, VmFault> {
        let version = match spec.version {
            MmdsVersion::V1 => Version::V1,
            MmdsVersion::V2 => Version::V2,
        };
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.configure(version, spec.imds_compat);
        let metrics = Arc::clone(&self.metrics);
        let endpoint = Endpoint::new(spec.address, Arc::clone(&self.store), metrics);
        Ok(Arc::new(endpoint.map_err(|e| VmFault::Start(e.to_string()))?))
    }
}

fn fault(error: StoreError) -> VmFault {
    match error {
        StoreError::TooLarge => VmFault::MmdsTooLarge,
        error => VmFault::Mmds(error.to_string()),
    }
}
