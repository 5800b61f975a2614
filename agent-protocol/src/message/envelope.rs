//! The two outermost messages, and failure.

use super::{
    Attach, CloseInput, CloseOutput, ConfigureNetwork, ContainerEnd, ContainerMetrics,
    ContainerRef, Containers, CreateContainer, Done, Exec, Exited, GetMetrics, Hello,
    ListContainers, Metrics, Mount, Open, Output, PathStatus, PowerOff, Processes, ReadArchive,
    ReadChanges, Resize, SetClock, Signal, SignalContainer, Started, StatPath, Unmount,
    UpdateContainer, UpdateFiles, WaitContainer, WriteArchive,
};

/// Any frame from host to agent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ToAgent {
    /// Chosen by the host, repeated in the reply.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What is asked. Absent when the sender is newer and asks something unknown here.
    #[prost(
        oneof = "Request",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30"
    )]
    pub request: Option<Request>,
}

/// What the host asks.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Request {
    /// Use this connection for control; answered with [`Hello`].
    #[prost(message, tag = "2")]
    Open(Open),
    /// Use this connection for a command's stream; not answered.
    #[prost(message, tag = "3")]
    Attach(Attach),
    /// Run a command; answered with [`Started`], then any [`Output`], and [`Exited`].
    #[prost(message, tag = "4")]
    Exec(Exec),
    /// Signal a command; answered with [`Done`].
    #[prost(message, tag = "5")]
    Signal(Signal),
    /// Resize a command's terminal; answered with [`Done`].
    #[prost(message, tag = "6")]
    Resize(Resize),
    /// Read the guest's metrics; answered with [`Metrics`].
    #[prost(message, tag = "7")]
    Metrics(GetMetrics),
    /// Mount a file system; answered with [`Done`].
    #[prost(message, tag = "8")]
    Mount(Mount),
    /// Unmount a file system; answered with [`Done`].
    #[prost(message, tag = "9")]
    Unmount(Unmount),
    /// End the machine; answered with [`Done`] just before it happens.
    #[prost(message, tag = "10")]
    PowerOff(PowerOff),
    /// Make a container; answered with [`Done`].
    #[prost(message, tag = "11")]
    CreateContainer(Box<CreateContainer>),
    /// Start its first process; answered with [`Started`].
    #[prost(message, tag = "12")]
    StartContainer(ContainerRef),
    /// Tell when it has ended; answered with [`ContainerEnd`].
    #[prost(message, tag = "13")]
    WaitContainer(WaitContainer),
    /// Signal it; answered with [`Done`].
    #[prost(message, tag = "14")]
    SignalContainer(SignalContainer),
    /// Freeze all its processes; answered with [`Done`] once they are.
    #[prost(message, tag = "15")]
    PauseContainer(ContainerRef),
    /// Let them go on; answered with [`Done`].
    #[prost(message, tag = "16")]
    ResumeContainer(ContainerRef),
    /// Change its limits; answered with [`Done`].
    #[prost(message, tag = "17")]
    UpdateContainer(UpdateContainer),
    /// Replace files in it; answered with [`Done`].
    #[prost(message, tag = "18")]
    UpdateFiles(UpdateFiles),
    /// Kill what runs in it and unmount it, its changes written out; answered with [`Done`].
    #[prost(message, tag = "19")]
    DeleteContainer(ContainerRef),
    /// All containers; answered with [`Containers`].
    #[prost(message, tag = "20")]
    ListContainers(ListContainers),
    /// What it uses; answered with [`ContainerMetrics`].
    #[prost(message, tag = "21")]
    ContainerMetrics(ContainerRef),
    /// Its processes; answered with [`Processes`].
    #[prost(message, tag = "22")]
    ListProcesses(ContainerRef),
    /// End the input of a container's first process; answered with [`Done`].
    #[prost(message, tag = "23")]
    CloseInput(CloseInput),
    /// Read files; answered with [`Started`], then [`Exited`].
    #[prost(message, tag = "24")]
    ReadArchive(ReadArchive),
    /// Write files; answered with [`Started`], then [`Exited`].
    #[prost(message, tag = "25")]
    WriteArchive(WriteArchive),
    /// What a path is; answered with [`PathStatus`].
    #[prost(message, tag = "26")]
    StatPath(StatPath),
    /// What differs from the image; answered with [`Started`], then [`Exited`].
    #[prost(message, tag = "27")]
    ReadChanges(ReadChanges),
    /// Addresses of network cards; answered with [`Done`].
    #[prost(message, tag = "28")]
    ConfigureNetwork(ConfigureNetwork),
    /// Set the clock; answered with [`Done`].
    #[prost(message, tag = "29")]
    SetClock(SetClock),
    /// Close an output of a command; answered with [`Done`].
    #[prost(message, tag = "30")]
    CloseOutput(CloseOutput),
}

/// Any frame from agent to host.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FromAgent {
    /// The id of the request that this answers; 0 for the unasked [`Hello`].
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The answer. Absent when the sender is newer and says something unknown here.
    #[prost(oneof = "Reply", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub reply: Option<Reply>,
}

/// What the agent answers.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Reply {
    /// Who the agent is.
    #[prost(message, tag = "2")]
    Hello(Hello),
    /// The request failed.
    #[prost(message, tag = "3")]
    Failure(Failure),
    /// The request was carried out, and there is nothing to tell.
    #[prost(message, tag = "4")]
    Done(Done),
    /// A command runs.
    #[prost(message, tag = "5")]
    Started(Started),
    /// A command ended.
    #[prost(message, tag = "6")]
    Exited(Exited),
    /// The guest's metrics.
    #[prost(message, tag = "7")]
    Metrics(Metrics),
    /// A container ended.
    #[prost(message, tag = "8")]
    ContainerEnd(ContainerEnd),
    /// All containers.
    #[prost(message, tag = "9")]
    Containers(Containers),
    /// What a container uses.
    #[prost(message, tag = "10")]
    ContainerMetrics(ContainerMetrics),
    /// The processes of a container.
    #[prost(message, tag = "11")]
    Processes(Processes),
    /// What a path is.
    #[prost(message, tag = "12")]
    PathStatus(PathStatus),
    /// What a command writes.
    #[prost(message, tag = "13")]
    Output(Output),
}

/// Why a request was not carried out.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Failure {
    /// The kind, for programs.
    #[prost(enumeration = "FailureKind", tag = "1")]
    pub kind: i32,
    /// The sentence, for people; names the subject.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The Linux error number behind it, or 0.
    #[prost(int32, tag = "3")]
    pub errno: i32,
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FailureKind {
    /// A system call failed; see the error number.
    System = 0,
    /// The request contradicts itself or lacks something.
    InvalidRequest = 1,
    /// The agent does not know this request.
    Unsupported = 2,
    /// The program to run does not exist (a shell's 127).
    ProgramNotFound = 3,
    /// The program exists and cannot be executed (a shell's 126).
    NotExecutable = 4,
    /// No such user or group.
    NoSuchUser = 5,
    /// The working directory cannot be entered.
    WorkingDirectory = 6,
    /// No such command, or it has ended.
    NoSuchSession = 7,
    /// The agent serves as many as it can already.
    LimitReached = 8,
    /// No such container.
    NoSuchContainer = 9,
    /// The container exists already, or is not in a state in which this can be done.
    ContainerState = 10,
    /// No such path in the container.
    NoSuchPath = 11,
}
