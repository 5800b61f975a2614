//! Which images containers use.

use image::ImageId;
use image::store::Use;

use crate::container;

/// A container that uses the image at this moment; one that runs, if any does.
///
/// The store asks under its lock. Whoever makes a container holds the image until the container is
/// on the list, so one that is being made is seen in one of both places.
#[must_use]
pub fn user_of(containers: &container::Service, image: &ImageId) -> Option<Use> {
    let mut found = None;
    for container in containers.all() {
        if container.with_record(|record| record.image_id.parse() != Ok(*image)) {
            continue;
        }
        let running = container.phase().is_up();
        found = Some(Use { container: container.id.clone(), running });
        if running {
            break;
        }
    }
    found
}
