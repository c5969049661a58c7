"""Facts of the machine, and what processes use of it."""

import os
import platform
import time

TICKS = os.sysconf("SC_CLK_TCK")


def facts():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    kib = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemTotal"))
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(kib / 1048576, 1), "kernel": platform.release(),
            "os": os_name(), "load_before": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d", time.gmtime())}


def os_name():
    try:
        return next(l.split("=")[1].strip().strip('"') for l in open("/etc/os-release") if l.startswith("PRETTY_NAME"))
    except (OSError, StopIteration):
        return platform.system()


def stat(pid):
    """The fields of /proc/PID/stat behind the name, which may hold blanks."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def tree(pid):
    """A process and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(stat(name)[1]), []).append(int(name))
            except OSError:
                pass
    found, rest = [], [pid]
    while rest:
        found.append(rest.pop())
        rest += children.get(found[-1], [])
    return found


def cpu_seconds(pid):
    """CPU time of a process tree. Children that ended count in their parent's own figures (cutime, cstime)."""
    ticks = 0
    for one in tree(pid):
        try:
            ticks += sum(int(field) for field in stat(one)[11:15])
        except OSError:
            pass
    return ticks / TICKS


def pss_mib(pid):
    """Memory of a process tree; pages that several processes share are divided among them."""
    kib = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as file:
                kib += next(int(l.split()[1]) for l in file if l.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return kib / 1024


def steal():
    """Seconds that the host has taken from this machine since it started."""
    return int(open("/proc/stat").readline().split()[8]) / TICKS
