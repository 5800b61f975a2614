"""Compares bulkhead-vmm with a monitor that has Firecracker's flags, and containers with others."""

import argparse
import json
import os
import signal
import sys
import tempfile

import images
import programs
from containers import Containers
from convert import convert, packed_layer
from monitors import BenchError, Monitor, alarm
from rows import Bench
from summary import summary, table
from throughput import Throughput

# Rows whose guests are a few instructions, which any KVM runs.
TINY = ("exec-exit", "exec-guest", "memory", "api")
# Rows whose guests are Linux; what a machine of the last three does, it does in one go.
LINUX = ("boot", "exits", "block", "tcp", "vsock")
# Rows of images, which need no guest and have no monitor in them.
IMAGES = ("convert",)
# Rows of containers, whose peer is what each is compared with and not --peer.
CONTAINERS = ("engine-start", "start", "exec", "idle", "share", "net")

EPILOG = """\
Rows:
  exec-exit   from exec until a guest that resets at once has ended
  exec-guest  from exec until the first instructions' output is read
  memory      what a sleeping machine takes besides its guest's memory (PSS)
  api         answers of GET / and PUT /machine-config on an open connection
  boot        from exec until a Linux guest has ended whose init restarts it at
              once; with --initrd that one's init, with --ready TEXT until the
              guest prints TEXT (its console must be the serial port)
  exits       exits to user space during such a boot, by reason, from the
              monitors' metrics
  block       fio in the guest on a disk in the host's page cache: 4k random
              reads, and 1M reads and writes in order, 32 at a time, with the
              synchronous engine and with io_uring
  tcp         iperf3 between guest and host over a tap, one stream each way
              (needs root)
  vsock       one stream each way between a program in the guest and a socket
              of the host
  convert     a layer made an EROFS image (hashed and unpacked by one thread)
  engine-start  from exec until the engine says that it serves (no baseline)
  start       from a container's creation until its first output (crun or runc)
  exec        a command in a container, from the first request until its output
              is whole (exec of crun or runc; a spawn by a shell in that guest)
  idle        memory of the host that a sleeping container takes, its machine and
              the guest's memory included (PSS; the process in one of crun or runc)
  share       a folder of the host in a container: 20,000 files (or half the
              limit of open files) listed and looked at, 2,000 made and removed, 1 GiB written and read (the same
              commands on the host)
  net         512 MiB over TCP between two containers, and from the host through
              a published port (the same programs over the host's loopback)

Rows from convert on are measured only when --rows names them.
Their baselines are in brackets; one that cannot run here is left out, and why is
said.

The monitors take turns, A B A B, after one turn each that does not count (but
for block, tcp and vsock, where the figures are of some seconds). Ratios are ours
by the peer's. Medians of few runs with little between them are just that:
repeat what matters.

Without --kernel, Linux guests run our own kernel, or else Debian's, of
guest-images/build; where this machine's KVM cannot run them (scripts/in-lab),
they and the monitors run in the lab. With --kernel they run here."""


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compares bulkhead-vmm with a monitor that has Firecracker's flags.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--monitor", metavar="PATH", help="ours (a release build)")
    add("--monitor-flag", metavar="FLAG", action="append", default=[], help="a flag for ours only")
    add("--peer", metavar="PATH", help="the other; without it ours is measured alone")
    add("--peer-flag", metavar="FLAG", action="append", default=[], help="a flag for it only")
    add("--rows", metavar="LIST", type=names(TINY + LINUX + IMAGES + CONTAINERS), default=TINY + LINUX,
        help="only these rows, separated by commas")
    add("-n", metavar="N", type=int, default=30, help="runs of rows without Linux (%(default)s)")
    linux = parser.add_argument_group("rows with Linux guests")
    add = linux.add_argument
    add("--runs", metavar="N", type=int, default=5, help="runs of each (%(default)s)")
    add("--kernel", metavar="FILE", help="kernel: an ELF vmlinux; run it on this machine's KVM")
    add("--initrd", metavar="FILE", help="initial RAM disk for boot and exits")
    add("--cmdline", metavar="TEXT", default="reboot=k panic=-1 quiet", help="command line")
    add("--memory", metavar="MIB", type=int, default=256, help="memory (%(default)s)")
    add("--ready", metavar="TEXT", help="boot ends when the guest prints this")
    add("--transports", metavar="LIST", type=names(("mmio", "pci")), default=("mmio", "pci"),
        help="transports for block, tcp and vsock (mmio,pci)")
    add("--seconds", metavar="S", type=int, default=3, help="for each of their jobs (%(default)s)")
    containers = parser.add_argument_group("rows of containers")
    add = containers.add_argument
    add("--engine", metavar="PATH", help="our engine, with bulkhead-vmm and "
        "bulkhead-switch beside it (a release build)")
    add("--agent-initrd", metavar="FILE", help="with --kernel: an initial RAM disk with the agent")
    add("--image", metavar="FILE", help="archive of the image busybox (guest-images/build)")
    parser.add_argument("--layer", metavar="FILE", help="for convert: a layer packed with gzip "
                        "(that of the image postgres of guest-images/build)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    # For the part of a bench that runs in the lab.
    parser.add_argument("--figures", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tools", help=argparse.SUPPRESS)
    return parser.parse_args()


def names(known):
    """A type for lists of some of these names."""
    def parsed(text):
        listed = tuple(text.split(","))
        unknown = [name for name in listed if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return listed
    return parsed


def measure(options, folder):
    """The figures: row -> (unit, monitor -> list)."""
    compared = [("bulkhead", options.monitor, options.monitor_flag)] if options.monitor else []
    if options.peer:
        compared.append(("peer", options.peer, options.peer_flag))
    for _, path, _ in compared:
        if not os.access(path, os.X_OK):
            sys.exit(f"bench: {path} is not a program")
    monitors = [Monitor(name, path, flags, folder) for name, path, flags in compared]
    figures = {}
    bench = Bench(folder, options)
    short = {"exec-exit": ("us", bench.exec_to_exit, options.n),
             "exec-guest": ("us", bench.exec_to_guest, options.n),
             "memory": ("KiB", bench.memory, options.n),
             "boot": ("us", bench.boot, options.runs)}
    for name, (unit, row, count) in short.items():
        if name in options.rows:
            figures[name] = (unit, turns(row, monitors, count))
    if "api" in options.rows:
        api(bench, monitors, 10 * options.n, figures)
    if "exits" in options.rows and not options.ready:
        for monitor in monitors:
            for reason, count in bench.exits(monitor).items():
                collect(figures, "exits " + reason, "", monitor, [count])
    if set(options.rows) & set(CONTAINERS):
        def add(row, unit, side, figure):
            figures.setdefault(row, (unit, {}))[1].setdefault(side, []).append(figure)
        Containers(folder, options, add).measure()
    if "convert" in options.rows:
        layer = options.layer or packed_layer(images.postgres(), folder)
        figures["convert"] = ("MiB/s", convert(layer, folder, options.runs))
    groups = {"block", "tcp", "vsock"} & set(options.rows)
    if groups:
        with Throughput(folder, options, groups) as machines:
            throughput(machines, monitors, options, figures)
    return figures


def turns(row, monitors, count):
    """Calls `row` in turns, and once for each monitor before what counts."""
    figures = {monitor.name: [] for monitor in monitors}
    for turn in range(count + 1):
        for monitor in monitors:
            figure = row(monitor)
            if turn > 0:
                figures[monitor.name].append(figure)
    return figures


def api(bench, monitors, count, figures):
    """Both rows of the API, three connections each."""
    for _ in range(3):
        for monitor in monitors:
            gets, puts = bench.latencies(monitor, count)
            collect(figures, "api GET", "us", monitor, gets)
            collect(figures, "api PUT", "us", monitor, puts)


def throughput(machines, monitors, options, figures):
    """Machines that do the jobs of several rows."""
    for run in range(options.runs):
        for transport in options.transports:
            for monitor in monitors:
                print(f"bench: {monitor.name} on {transport}, {run + 1} of {options.runs}",
                      file=sys.stderr)
                for name, (unit, figure) in machines.run(monitor, transport).items():
                    collect(figures, name, unit, monitor, [figure])


def collect(figures, name, unit, monitor, values):
    """Adds figures of one monitor to a row."""
    figures.setdefault(name, (unit, {}))[1].setdefault(monitor.name, []).extend(values)


def in_lab(options, why):
    """The figures of the rows with Linux guests, from the lab."""
    rows = [row for row in options.rows if row in LINUX + CONTAINERS]
    print(f"bench: {', '.join(rows)} in the lab, because {why}", file=sys.stderr)
    arguments = [*sys.argv[1:], "--figures", "--kernel", options.kernel]
    for flag, path in (("--monitor", options.monitor), ("--engine", options.engine)):
        if path:
            arguments += [flag, path]
    if options.tools:
        arguments += ["--tools", options.tools]
    if options.image:
        arguments += ["--agent-initrd", options.agent_initrd, "--image", options.image]
    return json.loads(images.bench_in_lab([*arguments, "--rows", ",".join(rows)]))


def all_figures(options):
    """The figures of what was asked for, here and in the lab."""
    why = ""
    linux, containers = (set(options.rows) & set(rows) for rows in (LINUX, CONTAINERS))
    if set(TINY + LINUX) & set(options.rows):
        options.monitor = options.monitor or programs.monitor()
    if containers:
        options.engine = options.engine or programs.engine()
    if linux:
        options.tools = options.tools or images.build("tools")
    if (linux or containers) and not options.kernel:
        options.kernel = images.kernel()
        why = images.why_lab()
    if containers:
        options.image = options.image or images.busybox()
        options.agent_initrd = options.agent_initrd or images.agent_initrd(options.kernel)
    figures = in_lab(options, why) if why else {}
    if why:
        options.rows = [row for row in options.rows if row in TINY + IMAGES]
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as folder:
        return measure(options, folder) | figures


def main():
    """Measures and prints."""
    options = parse()
    signal.signal(signal.SIGALRM, alarm)
    try:
        figures = all_figures(options)
    except BenchError as error:
        sys.exit(f"bench: {error}")
    if options.figures:
        return json.dump(figures, sys.stdout)
    rows = summary(figures)
    table(rows)
    if options.json:
        samples = {name: by_monitor for name, (_, by_monitor) in figures.items()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "samples": samples}, file, indent=1)
            file.write("\n")
    return None


main()
