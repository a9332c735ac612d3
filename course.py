"""Set up, open, test and rebuild the course. Needs nothing but Python 3.11 to 3.13.

    python course.py              set up what is missing, check the machine, open JupyterLab
    python course.py test         prove that everything still works
    python course.py --help       every command

Everything is installed into the folder .venv beside this file, from requirements.lock, with every
file's hash checked. What the commands do stands in tools/; this file has to be readable for an old
Python, too, so that it can turn it away.
"""

import contextlib
import difflib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

TO = "to"
WANTED = f"Python 3.11 {TO} 3.13"  # IS THIS LINE AN ERROR? Then your Python is too old for the course.

ROOT = os.path.dirname(os.path.abspath(__file__))
FIRST = "notebooks/00_start_here.ipynb"
COMMANDS = {
    "open": ("[--no-browser] [--port N] [--teach]", "check the machine, open JupyterLab (the default)"),
    "setup": ("[--group NAME]", "only install; --group adds the packages of requirements-NAME.lock"),
    "check": ("[--report]", "is this machine ready? --report: one line to send to a teacher"),
    "test": ("[--quick] [NN ...] [--jobs N]", "test everything; all but the notebooks; or some lessons"),
    "run": ("[NN ...] [--jobs N] [--measure]", "run notebooks again and refresh their outputs"),
    "book": ("", "build the web book in build/book"),
    "bench": ("NAME [--quick]", "measure the models of a use case (up to half an hour or more)"),
    "shop": ("FILE ... [--check] [--out FOLDER]", "read a shop's export, check it, or answer for next week"),
    "clicks": ("FILE ...", "which model predicts the next click of a click file?"),
    "stream": ("[--days N] [--server S]", "replay the year, trip by trip, into a live page"),
    "download": ("[--for SYSTEM 3.NN]", "fetch every package into wheels/, for machines without a network"),
    "reset": ("NN ...", "a lesson as it came; yours is kept as NN_..._mine.ipynb"),
    "progress": ("[--certificate [NAME]]", "which exercises are solved; --certificate writes a page"),
}
TESTED = ["scale", "stream"]  # groups that lessons need: where CI is set, `test` installs them, too
# So Linux' C library keeps freed memory for the next batch: to fetch it anew each time takes a third of the
# training of a large shop. It costs 0.1 GB, so lessons do without.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "67108864",
}
MODULES = {
    "check": ["-m", "tools.doctor"],
    "test": ["-m", "tools.notebooks", "test"],
    "run": ["-m", "tools.notebooks", "run"],
    "book": [os.path.join(ROOT, "book", "build.py")],
    "bench": ["-m", "benchmarks.run"],
    "shop": ["-m", "ecomlib.own.shop_command"],
    "clicks": ["-m", "ecomlib.own.clicks_command"],
    "stream": ["-m", "ecomlib.stream.command"],
    "download": ["-m", "tools.download"],
    "reset": ["-m", "tools.learner", "reset"],
    "progress": ["-m", "tools.learner", "progress"],
}


def unfit(version=None, system=None, machine=None):
    """Say why TensorFlow has no build for this Python or this machine; an empty text when it has one."""
    version = tuple(version or sys.version_info[:2])
    if not (3, 11) <= version < (3, 14):
        return (
            f"The course needs {WANTED}, but this is Python {version[0]}.{version[1]}. Install one of them "
            "from https://www.python.org/downloads/ (or with uv, conda or your system's packages) and "
            "start again with it, for example: python3.12 course.py"
        )
    if (system or platform.system()) == "Darwin" and (machine or platform.machine()) == "x86_64":
        return (
            "TensorFlow is no longer built for Macs with an Intel processor (or your Python is an Intel one "
            "on Apple silicon: then install an arm64 Python). Use the course in a container (.devcontainer) "
            "or on another machine."
        )
    if sys.maxsize < 2**32:
        return (
            "TensorFlow needs a 64-bit Python; this one is 32-bit. Install the 64-bit build and start again."
        )
    return ""


def child_env():
    """Return the environment of everything that runs lessons: nothing personal changes what they print.

    Jupyter, IPython, Keras and Matplotlib look for settings in build/home, and write there.
    """
    personal = re.compile("PYTHON|JUPYTER|IPYTHON|KERAS|TF_|MPL|MATPLOTLIB|VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not personal.match(name)}
    home = os.path.join(ROOT, "build", "home")
    os.makedirs(home, exist_ok=True)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "KERAS_HOME"):
        env[name] = os.path.join(home, name.lower())
    env.update(MPLCONFIGDIR=os.path.join(home, "matplotlib"), XDG_CACHE_HOME=os.path.join(home, "cache"))
    env["npm_config_cache"] = os.path.join(home, "npm")  # JupyterLab asks npm, where there is one
    env.update(PYTHONPATH=ROOT, PYTHONNOUSERSITE="1", PYTHONUTF8="1", PYTHONUNBUFFERED="1")
    env.update(JUPYTER_PREFER_ENV_PATH="1")
    if not os.access(os.path.expanduser("~"), os.W_OK):
        env["HOME"] = home
    return env


def call(python, *arguments):
    """Run a part of the course with its own Python; return its exit code."""
    return subprocess.call([python, *arguments], cwd=ROOT, env=child_env())


def open_lab(python, rest):
    """Check the machine and become JupyterLab."""
    from tools import install

    known = install.read_stamp(install.CHECKED) == install.read_stamp()
    if call(python, "-m", "tools.doctor", *(["--quick"] if known else [])):
        return 1
    install.write_stamp(install.CHECKED, install.read_stamp())
    # No news, no update check, no extension list: the course asks nothing of the network.
    lab = [python, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", "--LabApp.news_url=None"]
    lab += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    lab += ["--LabApp.extension_manager=readonly"]
    lab += ["--LabApp.app_settings_dir=" + os.path.join(ROOT, "tools", "lab")]
    if "--teach" in rest:  # large letters, and nothing beside the notebook
        place = os.path.join(ROOT, "build", "home", "teach")
        shutil.rmtree(place, ignore_errors=True)  # with the layout that the last lesson left
        shutil.copytree(os.path.join(ROOT, "tools", "lab", "teach"), place)
        lab += ["--LabApp.user_settings_dir=" + os.path.join(place, "settings")]
        lab += ["--LabApp.workspaces_dir=" + os.path.join(place, "workspaces")]
    lab += [f"--LabApp.default_url=/{'doc' if '--teach' in rest else 'lab'}/tree/{FIRST}"]
    lab += [option for option in rest if option != "--teach"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        lab += ["--allow-root"]  # root is the only user in most containers
    print("Opening JupyterLab; stop it with Ctrl+C here.", flush=True)
    os.chdir(ROOT)
    if os.name != "nt":
        os.execve(lab[0], lab, child_env())
    with subprocess.Popen(lab, env=child_env()) as process:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()


def run(arguments):
    """Run one command and return its exit code."""
    command, rest = arguments[0], arguments[1:]
    if command in ("-h", "--help") or {"-h", "--help"} & set(rest):
        lines = [f"  python course.py {name:8s} {how:31s} {text}" for name, (how, text) in COMMANDS.items()]
        print("\n".join(lines))
        return 0
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        print(f"There is no command '{command}'.{hint} There are: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    from tools import install

    groups = [name for name in TESTED if command == "test" and os.environ.get("CI")]
    groups = [name for name in groups if install.lock_of(name).exists()]
    if command == "setup":
        if rest and (len(rest) != 2 or rest[0] != "--group"):
            raise install.SetupError(
                "Write `python course.py setup` or `python course.py setup --group NAME`."
            )
        groups = rest[1:]
    python = install.setup(groups)
    if command == "setup":
        print("The course is set up. Open it with: python course.py")
        return 0
    if command in ("shop", "clicks", "stream"):  # they run in the course's folder
        os.environ.update(KEEP_MEMORY)
        named = [*zip(["", *rest], rest)]  # noqa: B905 (an old Python reads this file, too)
        new = ("--out", "--answers")
        rest = [os.path.abspath(t) if os.path.exists(t) or before in new else t for before, t in named]
    return open_lab(python, rest) if command == "open" else call(python, *MODULES[command], *rest)


def stop(number, frame):
    """Treat a request to end like Ctrl+C."""
    raise KeyboardInterrupt


def main(arguments):
    """Run one command; a problem that the user can repair is one sentence, never a traceback."""
    if unfit():
        print(unfit(), file=sys.stderr)
        return 2
    arguments = list(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "open")
    from tools.install import SetupError

    with contextlib.suppress(ValueError):  # outside the main thread
        signal.signal(signal.SIGTERM, stop)  # ended by another program: stop what was started, too
    try:
        return run(arguments)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Start the same command again; what is half-done is made again.", file=sys.stderr
        )
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
