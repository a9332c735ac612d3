"""Serve the lessons to a room: a JupyterLab of their own for each learner, all on this machine.

    python -m tools.classroom 9 [--port 9001] [--here]

Each learner works in a copy of the lessons in build/room/NN, which is kept when the server stops. Ctrl+C
stops all. `--here`: only this machine can reach them, to try it out.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tools.install import ROOT
from tools.notebooks import NOTEBOOKS

ROOM = ROOT / "build" / "room"
FIRST = "notebooks/00_start_here.ipynb"


def seat(number: int, room: Path = ROOM) -> Path:
    """Folder of a learner: a copy of the lessons, beside links to what they read; made once."""
    folder = room / f"{number:02d}"
    if not folder.exists():
        leave = shutil.ignore_patterns(".ipynb_checkpoints", "*_mine.ipynb")
        shutil.copytree(NOTEBOOKS, folder / "notebooks", ignore=leave)
        for name in ("data", "docs"):
            (folder / name).symlink_to(ROOT / name)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Settings, layout and history of a learner, apart from those of the others."""
    from course import child_env

    env = child_env()
    home = folder / ".home"
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        env[name] = str(home / name.lower())
    return env


def command(folder: Path, port: int, word: str, address: str) -> list[str]:
    """How the server of a learner is started."""
    lab = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}"]
    lab += [f"--ServerApp.ip={address}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    lab += [f"--IdentityProvider.token={word}", f"--LabApp.default_url=/lab/tree/{FIRST}"]
    lab += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    lab += ["--LabApp.extension_manager=readonly", f"--LabApp.app_settings_dir={ROOT / 'tools' / 'lab'}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        lab += ["--allow-root"]
    return lab


def address_of_this_machine() -> str:
    """The address under which the room finds this machine; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))  # an address that is nobody's: only the way there is looked up
        except OSError:
            return socket.gethostname()
        return str(one.getsockname()[0])


def stop(number: int, frame: object) -> None:
    """Treat a request to end like Ctrl+C."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Start a server for each learner, print where they are, wait."""
    parser = argparse.ArgumentParser(prog="python -m tools.classroom")
    parser.add_argument("learners", type=int)
    parser.add_argument("--port", type=int, default=9001, help="the first learner's; the others follow")
    parser.add_argument("--room", type=Path, default=ROOM, help="where the copies of the lessons are kept")
    parser.add_argument("--here", action="store_true", help="only this machine can reach them")
    options = parser.parse_args(arguments)
    if not 1 <= options.learners <= 99:
        print("Give a number of learners from 1 to 99.", file=sys.stderr)
        return 2
    host = "127.0.0.1" if options.here else address_of_this_machine()
    servers: list[subprocess.Popen] = []
    signal.signal(signal.SIGTERM, stop)
    try:
        for number in range(1, options.learners + 1):
            folder, port, word = seat(number, options.room), options.port + number - 1, secrets.token_hex(4)
            lab = command(folder, port, word, "127.0.0.1" if options.here else "0.0.0.0")
            with open(folder / "server.log", "w") as log:
                servers.append(
                    subprocess.Popen(lab, cwd=folder, env=environment(folder), stdout=log, stderr=log)
                )
            print(f"seat {number:02d}   http://{host}:{port}/lab/tree/{FIRST}?token={word}", flush=True)
        print("Ctrl+C stops all.", flush=True)
        while all(server.poll() is None for server in servers):
            time.sleep(1)
        ended = next(n for n, server in enumerate(servers, 1) if server.poll() is not None)
        print(
            f"The server of seat {ended:02d} has ended: see {seat(ended, options.room) / 'server.log'}.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
