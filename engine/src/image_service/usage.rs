//! Which images containers use.

use image::store::Use;

use super::Uses;
use crate::container;

/// All images that containers use; of those that several use, a running one is named.
#[must_use]
pub fn in_use(containers: &container::Service) -> Uses {
    let mut uses = Uses::new();
    for container in containers.all() {
        let running = container.phase().is_up();
        let image = container.with_record(|record| record.image_id.parse());
        let Ok(image) = image else { continue };
        let one = Use { container: container.id.clone(), running };
        let known = uses.entry(image).or_insert_with(|| one.clone());
        if running && !known.running {
            *known = one;
        }
    }
    uses
}
