"""Drives an engine with docker-py, which the tests of Python programs use. Says so if all it found
is as it should be.

usage: DOCKER_HOST=unix://SOCKET docker_py.py BUSYBOX_ARCHIVE
"""

import io
import sys
import tarfile
import threading
import time

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, Mount, Ulimit


def same(found, wanted):
    """Ends the program where they differ."""
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def refused(status, call, *arguments, **options):
    """The message of a request that is refused with this status."""
    try:
        call(*arguments, **options)
    except APIError as error:
        same(error.response.status_code, status)
        return error.explanation
    raise AssertionError(f"not refused: {call}")


class Events(threading.Thread):
    """What happens to containers from now on, until one called `end` was made."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.seen = []
        self.stream = client.events(decode=True, since=int(time.time()))

    def run(self):
        for event in self.stream:
            attributes = event["Actor"]["Attributes"]
            name = attributes.get("name")
            if (name, event["Action"]) == ("end", "create"):
                return
            self.seen.append((event["Type"], event["Action"], name, attributes.get("execID")))

    def of(self, name, kind="container"):
        """The actions of one, in their order."""
        return [action for type_, action, its, _ in self.seen if (type_, its) == (kind, name)]

    def of_command(self, text):
        """The actions of the first command that was made of these words, in their order."""
        made = [command for _, action, _, command in self.seen if action == "exec_create: " + text]
        same(bool(made), True)
        return [action for _, action, _, command in self.seen if command == made[0]]


def images(client, archive):
    with open(archive, "rb") as file:
        (busybox,) = client.images.load(file)
    same(busybox.tags, ["busybox:latest"])
    same(busybox.attrs["Config"]["Cmd"], ["sh"])
    same(busybox.tag("localhost/other", tag="1"), True)
    same(client.images.get("localhost/other:1").id, busybox.id)
    busybox.reload()
    same(len(busybox.history()), 1)
    saved = io.BytesIO(b"".join(busybox.save(named="localhost/other:1")))
    client.images.remove("localhost/other:1")
    refused(404, client.images.get, "localhost/other:1")
    client.images.load(saved)
    same(sorted(client.images.get(busybox.id).tags), ["busybox:latest", "localhost/other:1"])
    client.images.remove("localhost/other:1")
    same([image.id for image in client.images.list(name="busybox")], [busybox.id])
    try:
        client.containers.create("no-such-image")
    except ImageNotFound:
        pass


def networks_and_volumes(client):
    network = client.networks.create("py-net", labels={"kind": "test"}, check_duplicate=True)
    same(client.networks.list(filters={"label": "kind=test"}), [network])
    volume = client.volumes.create("py-volume", labels={"kind": "test"})
    same([one.name for one in client.volumes.list(filters={"label": "kind=test"})], ["py-volume"])
    same(volume.attrs["Driver"], "local")
    return network, volume


def start(client, network):
    box = client.containers.run(
        "busybox",
        ["sh", "-c", "echo started; echo problem >&2; trap 'exit 3' TERM; sleep 1000 & wait"],
        name="py-box",
        detach=True,
        environment={"GREETING": "hello"},
        labels={"kind": "test"},
        mem_limit="96m",
        mounts=[Mount("/data", "py-volume"), Mount("/scratch", None, type="tmpfs")],
        network=network.name,
        ports={"80/tcp": ("127.0.0.1", None)},
        ulimits=[Ulimit(name="nofile", soft=2000, hard=3000)],
        healthcheck=Healthcheck(test=["CMD", "true"], interval=1_000_000_000),
    )
    same(box.status, "created")
    box.reload()
    same(box.status, "running")
    same(client.containers.list(filters={"label": "kind=test"}), [box])
    same(box.attrs["Config"]["Labels"], {"kind": "test"})
    same(list(box.attrs["NetworkSettings"]["Networks"]), ["py-net"])
    (binding,) = box.ports["80/tcp"]
    same(binding["HostIp"], "127.0.0.1")
    return box


def logs(box):
    stream = box.logs(stream=True, follow=True)
    # Two streams, whose order nobody promises.
    same(sorted([next(stream), next(stream)]), [b"problem\n", b"started\n"])
    same(box.logs(stdout=False).strip(), b"problem")
    same(box.logs(tail=1, timestamps=True).split(b" ")[1] in (b"problem\n", b"started\n"), True)
    stream.close()


def commands(box):
    code, output = box.exec_run(["sh", "-c", "echo $GREETING $MORE; id -u; pwd; exit 4"],
                                environment={"MORE": "world"}, user="65534", workdir="/tmp")
    same((code, output), (4, b"hello world\n65534\n/tmp\n"))
    code, (out, err) = box.exec_run(["sh", "-c", "echo out; echo err >&2; ulimit -n"], demux=True)
    same((code, out, err), (0, b"out\n2000\n", b"err\n"))
    _, stream = box.exec_run(["sh", "-c", "for i in 1 2 3; do echo $i; done"], stream=True)
    same(b"".join(stream), b"1\n2\n3\n")
    _, connection = box.exec_run(["cat"], stdin=True, socket=True, tty=True)
    raw = connection._sock
    raw.sendall(b"echoed\n")
    got = b""
    while got.count(b"echoed") < 2:
        got += raw.recv(100)
    raw.close()
    leave_by_keys(box)
    detached(box)
    same(box.exec_run(["no-such-program"])[0], 127)


def detached(box):
    """A command that runs has no code yet."""
    same(box.exec_run(["sleep", "1000"], detach=True)[0], None)
    api = box.client.api
    command = api.exec_create(box.id, ["sleep", "1000"])["Id"]
    api.exec_start(command, detach=True)
    running = api.exec_inspect(command)
    same((running["Running"], running["ExitCode"]), (True, None))


def of_little(client):
    """Whoever names nothing but the image is shown the rest even so."""
    api = client.api
    made = api._post_json(api._url("/containers/create"), data={"Image": "busybox", "Cmd": ["echo", "hi"]})
    box = client.containers.get(made.json()["Id"])
    box.start()
    same(box.wait()["StatusCode"], 0)
    same(box.logs(), b"hi\n")
    same(box.attrs["HostConfig"]["Privileged"], False)
    box.remove()


def leave_by_keys(box):
    """The engine itself looks for the keys: this client does not know of them."""
    api = box.client.api
    command = api.exec_create(box.id, ["cat"], stdin=True, tty=True, detach_keys="ctrl-x,y")["Id"]
    raw = api.exec_start(command, tty=True, socket=True)._sock
    raw.sendall(b"echoed\n\x18")
    raw.sendall(b"y")
    got = b""
    while chunk := raw.recv(100):
        got += chunk
    same(b"y" in got, False)
    raw.close()
    same(api.exec_inspect(command)["Running"], True)


def files(box):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 7
        tar.addfile(member, io.BytesIO(b"content"))
    same(box.put_archive("/data", archive.getvalue()), True)
    same(box.exec_run(["cat", "/data/file"])[1], b"content")
    chunks, stat = box.get_archive("/data/file")
    same((stat["name"], stat["size"]), ("file", 7))
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        same(tar.extractfile("file").read(), b"content")
    refused(404, box.get_archive, "/no/such/file")
    box.exec_run(["sh", "-c", "echo x > /root/new"])
    changes = {change["Path"]: change["Kind"] for change in box.diff()}
    same((changes.get("/root"), changes.get("/root/new")), (0, 1))


def views(client, box):
    same("sleep" in str(box.top()["Processes"]), True)
    stats = box.stats(stream=False)
    same(stats["memory_stats"]["limit"], 96 << 20)
    same(stats["pids_stats"]["current"] >= 2, True)
    same("eth0" in stats["networks"], True)
    first = next(box.stats(decode=True))
    same(first["id"], box.id)
    df = client.df()
    same([one["Name"] for one in df["Volumes"]], ["py-volume"])


def changes(client, box, network):
    box.update(mem_limit="80m", memswap_limit=-1, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    box.rename("py-renamed")
    box.reload()
    same(box.name, "py-renamed")
    same(box.attrs["HostConfig"]["Memory"], 80 << 20)
    other = client.networks.create("py-other")
    other.connect(box, aliases=["also"])
    box.reload()
    same(sorted(box.attrs["NetworkSettings"]["Networks"]), ["py-net", "py-other"])
    refused(403, other.remove)
    other.disconnect(box)
    other.remove()
    same([one.id for one in client.networks.get(network.id).containers], [box.id])
    box.pause()
    box.reload()
    same(box.status, "paused")
    refused(409, box.exec_run, ["true"])
    box.unpause()
    image = box.commit("py-image", tag="1", changes='ENV MADE=yes')
    same("MADE=yes" in image.attrs["Config"]["Env"], True)
    exported = io.BytesIO(b"".join(box.export()))
    with tarfile.open(fileobj=exported) as tar:
        same(tar.extractfile("root/new").read(), b"x\n")


def ends(client, box, network, volume):
    refused(409, box.remove)
    refused(409, volume.remove)
    box.stop(timeout=20)
    same(box.wait()["StatusCode"], 3)
    output = client.containers.run("py-image:1", ["sh", "-c", "cat /root/new; echo $MADE"], remove=True)
    same(output, b"x\nyes\n")
    try:
        client.containers.run("busybox", ["sh", "-c", "echo why >&2; exit 5"], remove=True)
        raise AssertionError("5 is a failure")
    except ContainerError as error:
        same((error.exit_status, error.stderr), (5, b"why\n"))
    box.remove()
    try:
        box.reload()
        raise AssertionError("it is still there")
    except NotFound:
        pass
    client.images.remove("py-image:1")
    network.remove()
    volume.remove()
    same(client.containers.list(all=True), [])


def order(events):
    """What happened, in the order that Docker's reference of events shows."""
    before = events.of("py-box")
    same(before[:2], ["create", "start"])
    same("health_status: healthy" in before, True)
    # Probes of its health come in between; they are commands, too.
    for text in "cat /data/file", "true":
        same(events.of_command(text), ["exec_create: " + text, "exec_start: " + text, "exec_die"])
    same("exec_detach" in before, True)
    same({"exec_create: no-such-program", "exec_start: no-such-program", "top", "update"} - set(before), set())
    after = [one for one in events.of("py-renamed") if not one.startswith(("exec", "health"))]
    same(after, ["rename", "pause", "unpause", "commit", "export", "kill", "die", "stop", "destroy"])
    same(events.of("py-net", "network"), ["create", "connect", "disconnect", "destroy"])


def main():
    client = docker.from_env(timeout=180)
    same(client.ping(), True)
    same(client.info()["Containers"], 0)
    same("ApiVersion" in client.version(), True)
    images(client, sys.argv[1])
    events = Events(client)
    events.start()
    network, volume = networks_and_volumes(client)
    box = start(client, network)
    logs(box)
    commands(box)
    files(box)
    views(client, box)
    changes(client, box, network)
    of_little(client)
    ends(client, box, network, volume)
    end = client.containers.create("busybox", name="end")
    events.join(60)
    end.remove()
    order(events)
    print("as it should be")


main()
