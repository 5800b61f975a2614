//! The kinds of threads.

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadKind {
    /// Owns the machine.
    Main,
    /// Runs a virtual processor.
    Vcpu,
    /// Serves devices.
    DeviceLoop,
    /// Serves devices that share the host's folders.
    FileServer,
    /// Serves the API.
    Api,
    /// Waits for signals.
    Signals,
    /// Has metrics written now and then.
    Metrics,
}

impl ThreadKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Main,
        Self::Vcpu,
        Self::DeviceLoop,
        Self::FileServer,
        Self::Api,
        Self::Signals,
        Self::Metrics,
    ];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Vcpu => "vcpu",
            Self::DeviceLoop => "device loop",
            Self::FileServer => "file server",
            Self::Api => "api",
            Self::Signals => "signals",
            Self::Metrics => "metrics",
        }
    }
}
