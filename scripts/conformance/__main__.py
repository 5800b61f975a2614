"""Tests bulkhead-vmm against its OpenAPI document with schemathesis.

Once before the start of a machine, and once while a machine of a few bytes runs, so that both
halves of the API are there to answer. Requests to stop the machine are left out the second time.
"""

import os
import signal
import subprocess
import sys
import tempfile

from monitor import ConformanceError, Monitor, sleeping_kernel

# Seconds for one run; it takes a fraction of that.
LIMIT = 150
# A run with fewer requests has tested nothing.
LEAST = 500

# Answers that have no end, or are no HTTP.
STREAMS = ["/bulkhead/events", "/bulkhead/console", "/bulkhead/console/{device_id}"]
# Firecracker answers 400 where 405 would be usual, and refuses many a well-formed request: files
# that are not there, operations that have to wait for the start.
EXCLUDED_CHECKS = "unsupported_method,positive_data_acceptance"


def machine(monitor, folder):
    """Starts a machine that has one of each device that needs no privilege."""
    for name, content in {"kernel": sleeping_kernel(), "disk": bytes(1 << 20)}.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    balloon = {"amount_mib": 0, "deflate_on_oom": True, "stats_polling_interval_s": 1}
    drive = {"drive_id": "disk", "path_on_host": "disk", "is_root_device": False}
    objects = {
        "/machine-config": {"vcpu_count": 2, "mem_size_mib": 64},
        "/boot-source": {"kernel_image_path": "kernel"},
        "/drives/disk": drive,
        "/balloon": balloon | {"free_page_hinting": True},
        "/entropy": {},
        "/vsock": {"guest_cid": 3, "uds_path": "vsock"},
        "/serial": {"serial_out_path": "serial"},
        "/metrics": {"metrics_path": "metrics"},
        "/actions": {"action_type": "InstanceStart"},
    }
    for path, value in objects.items():
        monitor.put(path, value)


def schemathesis(document, monitor, folder, excluded):
    """Runs it; gives how many requests were answered."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", document]
    command += ["--url", "http://localhost", "--phases", "coverage,fuzzing"]
    command += ["--exclude-checks", EXCLUDED_CHECKS, "--suppress-health-check", "all"]
    command += ["--seed", "1", "--max-examples", "40", "--generation-database", "none"]
    command += ["--no-color", "--warnings", "off"]
    for path in excluded:
        command += ["--exclude-path", path]
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [here, os.environ.get("PYTHONPATH", "")]
    added = {
        "API_SOCKET": monitor.socket,
        "SCHEMATHESIS_HOOKS": "unix_socket",
        "PYTHONPATH": os.pathsep.join(paths),
        "COLUMNS": "100",
    }
    before = monitor.answered()
    result = subprocess.run(command, cwd=folder, env=os.environ | added, timeout=LIMIT)
    if result.returncode != 0:
        raise ConformanceError("schemathesis found faults")
    return monitor.answered() - before


def run(name, program, document, excluded, prepare):
    """One run in a folder of its own."""
    print(f"--- {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        monitor = Monitor(program, folder)
        try:
            prepare(monitor, folder)
            answered = schemathesis(document, monitor, folder, excluded)
            if answered < LEAST:
                raise ConformanceError(f"only {answered} requests were made")
            status, body = monitor.request("GET", "/")
            if status != 200:
                raise ConformanceError(f"the monitor answers GET / with {status}: {body}")
            monitor.end()
        finally:
            monitor.kill()
    print(f"--- {name}: {answered} requests", flush=True)


def main():
    """Both runs."""
    program, document = map(os.path.abspath, sys.argv[1:])
    signal.alarm(2 * LIMIT + 30)
    try:
        run("before the start", program, document, STREAMS, lambda *_: None)
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            print("--- while a machine runs: skipped, as /dev/kvm cannot be opened")
            return
        without_end = [*STREAMS, "/bulkhead/actions"]
        run("while a machine runs", program, document, without_end, machine)
    except ConformanceError as error:
        sys.exit(f"conformance: {error}")


main()
