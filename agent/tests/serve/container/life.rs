//! A container from its creation to its end.

use agent_protocol::{
    client::ExecSpec,
    message::{
        ContainerFile, ContainerRef, ContainerState, FailureKind, ListContainers, Reply, Request,
        SignalContainer, UpdateFiles,
    },
};

use super::fixture::{Guest, ID, container, idle, kind_of, possible, process};

fn state(guest: &Guest) -> Option<ContainerState> {
    let reply = guest.request(Request::ListContainers(ListContainers {})).unwrap();
    let Reply::Containers(containers) = reply else { panic!("{reply:?}") };
    containers.containers.first().map(|container| container.state())
}

fn named(id: &str) -> ContainerRef {
    ContainerRef { id: id.into() }
}

#[test]
fn a_container_runs_and_its_status_comes_back() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let (output, code) = guest.run(container("echo hello; hostname; echo $$; exit 3"));
    assert_eq!((output.as_str(), code), ("hello\nboxed\n1\n", 3));
}

#[test]
fn states_follow_one_another() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    assert_eq!(state(&guest), None);
    guest.create(idle()).unwrap();
    assert_eq!(state(&guest), Some(ContainerState::Created));
    guest.start(&[]).unwrap();
    assert_eq!(state(&guest), Some(ContainerState::Running));
    guest.request(Request::PauseContainer(named(ID))).unwrap();
    assert_eq!(state(&guest), Some(ContainerState::Paused));
    guest.request(Request::ResumeContainer(named(ID))).unwrap();
    let kill = SignalContainer { id: ID.into(), signal: 9, all: false };
    guest.request(Request::SignalContainer(kill)).unwrap();
    assert_eq!(guest.wait().signal, 9);
    assert_eq!(state(&guest), Some(ContainerState::Ended));
    guest.delete();
    assert_eq!(state(&guest), None);
}

#[test]
fn a_paused_container_stands_still() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(container("while true; do echo x >> /count; done"));
    guest.request(Request::PauseContainer(named(ID))).unwrap();
    let (kind, message) = kind_of(guest.exec(&ExecSpec::new("true")));
    assert_eq!(kind, FailureKind::ContainerState);
    assert_eq!(message, "Container \"box\" is paused");
    guest.request(Request::ResumeContainer(named(ID))).unwrap();
    assert_ne!(guest.exec_sh("wc -l < /count"), "");
}

#[test]
fn what_cannot_be_done_in_a_state_is_refused() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let (kind, message) = kind_of(guest.request(Request::StartContainer(named("none"))));
    assert_eq!(
        (kind, message.as_str()),
        (FailureKind::NoSuchContainer, "No such container: \"none\"",)
    );
    guest.create(idle()).unwrap();
    assert_eq!(kind_of(guest.create(idle())).0, FailureKind::ContainerState);
    let (kind, message) = kind_of(guest.exec(&ExecSpec::new("true")));
    assert_eq!(kind, FailureKind::ContainerState);
    assert_eq!(message, "Container \"box\" is not started");
    assert_eq!(
        kind_of(guest.request(Request::PauseContainer(named(ID)))).0,
        FailureKind::ContainerState
    );
    let mut odd = idle();
    odd.id = "../up".into();
    assert_eq!(kind_of(guest.create(odd)).0, FailureKind::InvalidRequest);
}

#[test]
fn all_other_processes_end_with_the_first() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(container("sleep 1000 & read line < /bin/nothing; exec sleep 1000"));
    let mut left =
        guest.agent.client.exec(&ExecSpec::new("sleep").arg("1000").container(ID)).unwrap();
    let kill = SignalContainer { id: ID.into(), signal: 9, all: false };
    guest.request(Request::SignalContainer(kill)).unwrap();
    assert_eq!(guest.wait().signal, 9);
    assert_eq!(left.wait().unwrap().shell_code(), 137);
}

#[test]
fn changes_stay_on_a_disk_from_one_container_to_the_next() {
    if !possible() {
        return;
    }
    let mut guest = Guest::new();
    guest.add_writable("changes");
    let on_disk = |script: &str| {
        let mut create = container(script);
        create.rootfs.as_mut().unwrap().writable_serial = "changes".into();
        create
    };
    assert_eq!(guest.run(on_disk("echo kept > /root/file; rm /bin/date")).1, 0);
    let (output, _) = guest.run(on_disk("cat /root/file; ls /bin/date"));
    assert_eq!(output, "kept\nls: /bin/date: No such file or directory\n");
}

#[test]
fn a_program_that_is_not_there_fails_the_start() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = idle();
    process(&mut create).argv = vec![b"nothing".to_vec()];
    guest.create(create).unwrap();
    let (kind, message) = kind_of(guest.start(&[]));
    assert_eq!(kind, FailureKind::ProgramNotFound);
    assert_eq!(message, "No such program: \"nothing\"");
    assert_eq!(guest.wait().code, 127);
}

#[test]
fn a_disk_that_is_not_there_fails_the_creation() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = idle();
    create.rootfs.as_mut().unwrap().layers = vec![1, 7];
    let (kind, message) = kind_of(guest.create(create));
    assert_eq!(kind, FailureKind::System);
    assert_eq!(message, "Disk \"image\" has no partition 7");
    // And leaves nothing behind: the name is free.
    assert_eq!(guest.sh("echo again"), "again\n");
}

#[test]
fn the_hosts_files_are_bound_and_rewritten_in_place() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let file = |content: &str| ContainerFile {
        path: b"/etc/hosts".to_vec(),
        content: content.into(),
        mode: 0o644,
    };
    let mut create = idle();
    create.files = vec![file("127.0.0.1 one\n")];
    guest.keep_running(create);
    assert_eq!(guest.exec_sh("cat /etc/hosts"), "127.0.0.1 one\n");
    let update = UpdateFiles { id: ID.into(), files: vec![file("2\n")] };
    guest.request(Request::UpdateFiles(update)).unwrap();
    assert_eq!(guest.exec_sh("cat /etc/hosts; stat -c %a /etc/hosts"), "2\n644\n");
    let other = ContainerFile { path: b"/etc/passwd".to_vec(), ..ContainerFile::default() };
    let update = UpdateFiles { id: ID.into(), files: vec![other] };
    let (kind, _) = kind_of(guest.request(Request::UpdateFiles(update)));
    assert_eq!(kind, FailureKind::InvalidRequest);
}
