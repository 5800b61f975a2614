//! `/boot-source`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// What the guest starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BootSource {
    /// Host path of the kernel.
    pub kernel_image_path: String,
    /// Host path of the initial RAM disk.
    pub initrd_path: Option<String>,
    /// Kernel command line; the default is in the user guide.
    pub boot_args: Option<String>,
}

only_objects!(BootSource);
