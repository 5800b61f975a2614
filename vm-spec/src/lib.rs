//! What a virtual machine is: serde data and its validation, without I/O.
