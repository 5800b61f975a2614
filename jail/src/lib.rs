//! What a process may do: seccomp filters, privileges and limits.
