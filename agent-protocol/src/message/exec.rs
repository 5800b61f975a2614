//! Running commands.

/// Run a command.
///
/// The environment starts empty but for `PATH`, `HOME` and, with a terminal, `TERM`, each only
/// where `env` does not set it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Exec {
    /// The program and its arguments. A program without a slash is sought in `PATH`.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` strings.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub env: Vec<Vec<u8>>,
    /// Working directory; empty means `/`.
    #[prost(bytes = "vec", tag = "3")]
    pub cwd: Vec<u8>,
    /// `user[:group]`, each a name or a number; empty means the agent's own user.
    #[prost(string, tag = "4")]
    pub user: String,
    /// Where standard input comes from. Not used with a terminal.
    #[prost(enumeration = "Stdio", tag = "5")]
    pub stdin: i32,
    /// Where standard output goes. Not used with a terminal.
    #[prost(enumeration = "Stdio", tag = "6")]
    pub stdout: i32,
    /// Where standard error goes. Not used with a terminal.
    #[prost(enumeration = "Stdio", tag = "7")]
    pub stderr: i32,
    /// Give the command a terminal of this size for all three.
    #[prost(message, optional, tag = "8")]
    pub terminal: Option<Terminal>,
    /// Let the command run on when the control connection that started it ends. Otherwise its
    /// process group is killed then.
    #[prost(bool, tag = "9")]
    pub detach: bool,
    /// Run it in this container: its root, namespaces and control group. Users are those of its
    /// `/etc/passwd`. Empty for the machine itself.
    #[prost(string, tag = "10")]
    pub container: String,
    /// What it may do; absent means all.
    #[prost(message, optional, boxed, tag = "11")]
    pub confinement: Option<Box<super::Confinement>>,
    /// How many bytes of output, and as many of errors, come as [`Output`] on this connection
    /// before the stream gets a connection of its own (since version 2); 0 for none. The agent may
    /// choose to send fewer. Not used with a terminal.
    #[prost(uint32, tag = "12")]
    pub inline_output: u32,
}

/// What one of a command's standard descriptors is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Stdio {
    /// `/dev/null`.
    Null = 0,
    /// A pipe, joined to a connection by [`Attach`].
    Stream = 1,
    /// The same as standard output. Only for standard error.
    SameAsStdout = 2,
}

/// A terminal's size, in characters.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Terminal {
    /// Lines.
    #[prost(uint32, tag = "1")]
    pub rows: u32,
    /// Characters a line.
    #[prost(uint32, tag = "2")]
    pub columns: u32,
}

/// A command runs.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Started {
    /// Names the command in later requests. Never used twice by one agent.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// Its process id in the guest.
    #[prost(uint32, tag = "2")]
    pub pid: u32,
}

/// The next bytes of a command's output or errors, after [`Started`] and until they are followed
/// by something else. There are at most [`crate::INLINE_FRAMES`] for a stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Output {
    /// Which of its streams.
    #[prost(enumeration = "Stream", tag = "1")]
    pub stream: i32,
    /// The bytes; there may be none with a `follows` that is not `Output`.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// What comes after them.
    #[prost(enumeration = "Follows", tag = "3")]
    pub follows: i32,
}

/// What comes after the bytes of an [`Output`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Follows {
    /// More of them.
    Output = 0,
    /// Nothing: the command has closed the stream.
    End = 1,
    /// A connection, which the host makes with [`Attach`], or else [`CloseOutput`].
    Connection = 2,
}

/// Close an output of a command that nobody wants: what is written there is a broken pipe.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CloseOutput {
    /// The command.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// Which of its streams.
    #[prost(enumeration = "Stream", tag = "2")]
    pub stream: i32,
}

/// A command ended: either by itself with `code`, or by `signal` when that is not 0.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Exited {
    /// The command.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// What it passed to `exit`, 0 to 255.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    /// The signal that killed it, or 0.
    #[prost(uint32, tag = "3")]
    pub signal: u32,
    /// Whether the kernel dumped core.
    #[prost(bool, tag = "4")]
    pub core_dumped: bool,
}

/// Join this connection to a stream of a command.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Attach {
    /// The command, as [`Started`] named it.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// Which of its streams.
    #[prost(enumeration = "Stream", tag = "2")]
    pub stream: i32,
}

/// The streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Stream {
    /// Host to command. The end of the connection is the end of input.
    Stdin = 0,
    /// Command to host.
    Stdout = 1,
    /// Command to host.
    Stderr = 2,
    /// Both ways.
    Terminal = 3,
}

/// Send a signal to a command.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Signal {
    /// The command.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// Linux signal number, 1 to 64.
    #[prost(uint32, tag = "2")]
    pub signal: u32,
    /// Signal its whole process group rather than its first process.
    #[prost(bool, tag = "3")]
    pub group: bool,
}

/// Change the size of a command's terminal.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Resize {
    /// The command.
    #[prost(uint64, tag = "1")]
    pub session: u64,
    /// The new size.
    #[prost(message, optional, tag = "2")]
    pub size: Option<Terminal>,
}
