//! Whole layers: what they are made into, read by other programs.

mod archive;
mod inspect;
mod oracle;
mod overlay;
mod packings;
mod property;
mod refusals;
mod shapes;
mod sparse;
