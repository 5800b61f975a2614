//! Whole layers: what they are made into, read by other programs.

mod oracle;
mod refusals;
mod shapes;
