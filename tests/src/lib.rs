//! Boot tests: the `TestVm` fixture and the suites that run real kernels.
