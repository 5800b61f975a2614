"""Compares bulkhead-vmm with another monitor that has Firecracker's flags."""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile

from monitors import BenchError, Monitor, alarm
from rows import Bench

EPILOG = """\
Rows: exec-exit, exec-guest, api-get, api-put, memory; with --kernel also boot
and exits. The monitors take turns, A B A B, after one turn each that does not
count. Ratios are ours by the peer's: below 1, ours is faster or smaller.

boot is until the exit of a machine whose init restarts it, unless --initrd or
--ready is given; --ready waits for that text on the standard output, so the
kernel must have its console there. An --initrd without --ready must restart
the machine by itself.

Rows for disk, network and socket throughput are not there yet."""


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compares bulkhead-vmm with a monitor that has Firecracker's flags.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--monitor", metavar="PATH", default="target/release/bulkhead-vmm", help="ours")
    add("--monitor-flag", metavar="FLAG", action="append", default=[], help="a flag for ours only")
    add("--peer", metavar="PATH", help="the other; without it ours is measured alone")
    add("--peer-flag", metavar="FLAG", action="append", default=[], help="a flag for it only")
    add("--kernel", metavar="FILE", help="kernel for boot and exits: an ELF vmlinux")
    add("--initrd", metavar="FILE", help="initial RAM disk for them")
    add("--cmdline", metavar="TEXT", default="reboot=k panic=-1 quiet", help="and command line")
    add("--memory", metavar="MIB", type=int, default=256, help="and memory (%(default)s)")
    add("--ready", metavar="TEXT", help="boot ends when the guest prints this")
    add("--rows", metavar="LIST", help="only these rows, separated by commas")
    add("-n", metavar="N", type=int, default=30, help="runs of each row (%(default)s)")
    add("--json", metavar="FILE", help="write all figures to this file")
    return parser.parse_args()


def measure(bench, monitors, options):
    """The figures: row -> (unit, monitor -> list)."""
    rows = {
        "exec-exit": ("us", bench.exec_to_exit),
        "exec-guest": ("us", bench.exec_to_guest),
        "memory": ("KiB", bench.memory),
    }
    if options.kernel:
        rows["boot"] = ("us", bench.boot)
    wanted = options.rows.split(",") if options.rows else None
    figures = {}
    for name, (unit, row) in rows.items():
        if wanted is None or name in wanted:
            figures[name] = (unit, turns(row, monitors, options.n))
    if wanted is None or {"api-get", "api-put"} & set(wanted):
        figures["api-get"] = ("us", {monitor.name: [] for monitor in monitors})
        figures["api-put"] = ("us", {monitor.name: [] for monitor in monitors})
        for _ in range(3):
            for monitor in monitors:
                gets, puts = bench.latencies(monitor, 10 * options.n)
                figures["api-get"][1][monitor.name] += gets
                figures["api-put"][1][monitor.name] += puts
    if options.kernel and not options.ready and (wanted is None or "exits" in wanted):
        for monitor in monitors:
            for reason, count in bench.exits(monitor).items():
                row = figures.setdefault("exits " + reason, ("", {}))
                row[1][monitor.name] = [count]
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


def p99(values):
    """The value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def summary(figures):
    """Medians, p99 and ratios of each row."""
    rows = []
    for name, (unit, by_monitor) in figures.items():
        row = {"row": name, "unit": unit}
        for monitor, values in by_monitor.items():
            row[monitor] = {
                "n": len(values), "median": statistics.median(values), "p99": p99(values)
            }
        if "peer" in row:
            for kind in ("median", "p99"):
                base = row["peer"][kind]
                row["ratio_" + kind] = row["bulkhead"][kind] / base if base else None
        rows.append(row)
    return rows


def table(rows):
    """The summary for people."""
    lines = [("", "", "n", "median", "p99", "peer's", "p99", "ratio", "p99")]
    for row in rows:
        ours, peer = row["bulkhead"], row.get("peer")
        line = [row["row"], row["unit"], str(ours["n"])]
        line += [f"{side[kind]:.0f}" if side else "-"
                 for side in (ours, peer) for kind in ("median", "p99")]
        ratios = [row.get("ratio_" + kind) for kind in ("median", "p99")]
        lines.append((*line, *(f"{r:.2f}" if r is not None else "-" for r in ratios)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(w) if at < 2 else cell.rjust(w)
                 for at, (cell, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def main():
    """Measures and prints."""
    options = parse()
    signal.signal(signal.SIGALRM, alarm)
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as folder:
        programs = [("bulkhead", options.monitor, options.monitor_flag)]
        if options.peer:
            programs.append(("peer", options.peer, options.peer_flag))
        monitors = [Monitor(name, os.path.abspath(path), flags, folder)
                    for name, path, flags in programs]
        for monitor in monitors:
            if not os.access(monitor.program, os.X_OK):
                sys.exit(f"bench: {monitor.program} is not a program")
        try:
            figures = measure(Bench(folder, options), monitors, options)
        except BenchError as error:
            sys.exit(f"bench: {error}")
    rows = summary(figures)
    table(rows)
    if options.json:
        samples = {name: by_monitor for name, (_, by_monitor) in figures.items()}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rows": rows, "samples": samples}, file, indent=1)
            file.write("\n")


main()
