//! What a process may do: seccomp filters, folders, privileges and limits.
//!
//! Everything here is a matter between a process and its kernel. The crate knows nothing of the
//! program that it confines but which kinds of threads it has, and what those need of the kernel:
//! that is data, in [`seccomp`].
//!
//! The order, for a program that confines itself:
//!
//! 1. [`limits::Limits::apply`] and [`privileges::Privileges::seal`], while it has one thread;
//! 2. [`seccomp::prepare`];
//! 3. [`privileges::Privileges::drop_of_thread`], [`folder::shut_in`] where a thread opens files
//!    of one folder only, and [`seccomp::install`] on each thread, as the
//!    first thing that the thread does, and on the main thread when all is open that it opens with
//!    privileges.

pub mod folder;
pub mod limits;
pub mod privileges;
pub mod seccomp;
