//! What the fuzz targets share.
//!
//! A target turns its input into the acts of a guest, a client or a host program, lets the code
//! under test deal with them and checks what must hold whatever they were.

pub mod chains;
pub mod disk;
pub mod erofs;
pub mod quiet;
pub mod registers;
