//! What a process may do: seccomp filters, privileges and limits.
//!
//! Everything here is a matter between a process and its kernel. The crate knows nothing of the
//! program that it confines but which kinds of threads it has, and what those need of the kernel:
//! that is data, in [`seccomp`].
//!
//! The order, for a program that confines itself:
//!
//! 1. [`limits::Limits::apply`] and [`privileges::Privileges::drop`], while it has one thread and
//!    after it has opened what needs privileges;
//! 2. [`seccomp::Filters::compile`] and [`seccomp::report_violations`];
//! 3. [`seccomp::Filters::install`] on each thread, as the first thing that the thread does, and on
//!    the main thread when everything is set up.

pub mod limits;
pub mod privileges;
pub mod seccomp;
