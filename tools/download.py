"""Fetch every package of the lock into wheels/, for this machine or another one: what a USB stick needs.

    python -m tools.download [--for SYSTEM 3.NN] [--group NAME]

Sets for several kinds of machine can lie in wheels/ together: each machine takes the files that fit it.
"""

import argparse
import platform
import re
import subprocess
import sys

from packaging.markers import Marker

from tools.install import ROOT, index_settings, lock_of, pip_env

# Markers of the lock are evaluated for the target: pip itself would evaluate them for this machine.
SYSTEMS = {
    "windows": ("nt", "win32", "Windows", "AMD64"),
    "macos-arm64": ("posix", "darwin", "Darwin", "arm64"),
    "linux": ("posix", "linux", "Linux", "x86_64"),
    "linux-arm64": ("posix", "linux", "Linux", "aarch64"),
}
GLIBC = 31  # newest C library asked for on Linux: 2.31 (Ubuntu 20.04, Debian 11)
ENTRY = re.compile(r"^([\w.-]+==[^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.M)


def platforms(system: str) -> list[str]:
    """Platform tags of a system's wheels, the oldest version first: its files run on all later ones."""
    machine = SYSTEMS[system][3]
    if system == "windows":
        return ["win_amd64"]
    if system == "macos-arm64":
        return [f"macosx_{major}_0_{kind}" for major in range(11, 16) for kind in (machine, "universal2")]
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC + 1)), f"manylinux2014_{machine}"]


def wanted(text: str, system: str, python: str) -> str:
    """Entries of a lock that a target needs, without their markers.

    Parameters
    ----------
    text : str
        The lock.
    system : str
        A key of SYSTEMS.
    python : str
        Such as "3.12".
    """
    names = ("os_name", "sys_platform", "platform_system", "platform_machine")
    target = dict(zip(names, SYSTEMS[system], strict=True))
    target |= {"python_version": python, "python_full_version": f"{python}.0"}
    target |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    entries = ENTRY.findall(text)
    kept = [entry for entry in entries if not entry[1] or Marker(entry[1]).evaluate(target)]
    return "".join(f"{pin} \\\n{hashes}" for pin, _, hashes in kept)


def main(arguments: list[str]) -> int:
    """Download; the exit code is pip's."""
    mine = (platform.system(), platform.machine())
    here = next((name for name, facts in SYSTEMS.items() if facts[2:] == mine), "linux")
    parser = argparse.ArgumentParser(prog="python course.py download")
    parser.add_argument("--for", nargs=2, dest="target", metavar=("SYSTEM", "3.NN"), help=", ".join(SYSTEMS))
    parser.add_argument("--group", default="", help="the packages of requirements-NAME.lock instead")
    options = parser.parse_args(arguments)
    system, python = options.target or (here, "{}.{}".format(*sys.version_info[:2]))
    if system not in SYSTEMS or python not in ("3.11", "3.12", "3.13"):
        print(f"Write --for SYSTEM VERSION: {', '.join(SYSTEMS)}, and 3.11, 3.12 or 3.13.", file=sys.stderr)
        return 2
    listing, wheels = ROOT / "build" / "download.lock", ROOT / "wheels"
    listing.parent.mkdir(exist_ok=True)
    lock = lock_of(options.group).read_text(encoding="utf-8")
    listing.write_text(wanted(lock, system, python), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    pip += ["--disable-pip-version-check", "--progress-bar", "off", "--python-version", python]
    pip += [
        "--implementation",
        "cp",
        "--abi",
        "cp" + python.replace(".", ""),
        "--abi",
        "abi3",
        "--abi",
        "none",
    ]
    for tag in platforms(system):
        pip += ["--platform", tag]
    pip += ["-d", str(wheels), "-r", str(listing)]
    code = subprocess.call(pip, cwd=ROOT, env=pip_env(index_settings()))
    if code == 0:
        size = sum(path.stat().st_size for path in wheels.iterdir()) / 1e9
        print(
            f"{size:.1f} GB in wheels/, for {system} with Python {python}. Copy this folder to such a "
            "machine, without .venv, and start it there: python course.py"
        )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
