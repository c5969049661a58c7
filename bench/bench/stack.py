"""The running stack: its variables, its database, its cluster, its processes."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from .settings import ROOT, STACK
from .words import Refused

USER = "bench"  # claim `sub` of every token, and the admin of every tenant of the benchmark


class Stack:
    def __init__(self):
        if not (STACK / "env").exists() or not self.part_pid("proxy"):
            raise Refused("The stack is not running: run `make up` first.")
        self.env = load_env()
        self.url = self.env["SEPTEM_URL"]
        self.database_url = self.env["DATABASE_URL"]  # superuser: loads, restores, checks; never measured
        self.app_url = self.env["DATABASE_APP_URL"]  # septem_app: what every contestant connects as
        self.valkey = urlsplit(self.env["VALKEY_URL"])

    @staticmethod
    def part_pid(part):
        """The pid of a part of the stack, None when it does not run."""
        try:
            pid = int((STACK / f"run/{part}.pid").read_text())
            os.kill(pid, 0)
            return pid
        except (OSError, ValueError):
            return None

    def profile(self):
        """`release` or `debug`, from the file that the proxy's process really runs."""
        exe = os.readlink(f"/proc/{self.part_pid('proxy')}/exe")
        return "release" if "/release/" in exe else "debug"

    def run(self, *command, stdin=None, timeout=None):
        done = subprocess.run(command, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise Refused(f"`{command[0]} {command[1]}` failed: {done.stderr.strip()[-800:]}")
        return done.stdout

    def sql(self, text, url=None):
        """Runs statements, each on its own, as superuser; the rows, as tuples of text."""
        out = self.run("psql", url or self.database_url, "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                       "-f", "-", stdin=text)
        return [tuple(line.split("\x1f")) for line in out.splitlines()]

    def kubectl(self, *words, stdin=None):
        return self.run("kubectl", *words, stdin=stdin)

    def tokens(self, tenants, seconds=24 * 3600):
        """One access token for each tenant, good for the whole benchmark."""
        if STACK.parent.resolve() == ROOT:
            command = lambda t: ["make", "-s", "-C", str(ROOT), "token", f"TENANT={t}", f"USER={USER}", f"TTL={seconds}"]
        else:
            # Another clone's stack: its own binary, as `make token` would call it.
            settings = dict(l.split("=", 1) for l in (STACK / "settings").read_text().splitlines() if "=" in l)
            folder = "release" if settings["PROFILE"] == "release" else "debug"
            command = lambda t: [f"{settings['TARGET']}/{folder}/token", t, USER, str(seconds)]
        with ThreadPoolExecutor(2) as pool:
            return [out.strip() for out in pool.map(lambda t: self.run(*command(t)), tenants)]


def load_env():
    """The environment after `. .stack/env`."""
    shell = f'set -a; . "{STACK}/env"; env -0'
    out = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout
    return dict(item.split("=", 1) for item in out.split("\0") if "=" in item)


def need(tool, package):
    path = shutil.which(tool)
    if not path:
        raise Refused(f"{tool} is missing on this machine: run `apt-get install {package}`.")
    return path
