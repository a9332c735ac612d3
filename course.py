"""Set up, open, test and rebuild the course. Needs nothing but Python.

    python course.py              set up what is missing, check the machine, open JupyterLab
    python course.py test         prove that everything still works (see --help of each command)

Everything is installed into the folder .venv beside this file, from requirements.lock, with every
file's hash checked. Delete .venv and nothing of it is left.
"""

import argparse
import ast
import contextlib
import difflib
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

TO = "to"
WANTED = f"Python 3.11 {TO} 3.13"  # IS THIS LINE AN ERROR? Then your Python is too old for the course.

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
KEPT = VENV + "-kept"  # the old one, while an update makes a new one
LOCK = os.path.join(ROOT, "requirements.lock")
BUILD = os.path.join(ROOT, "build")
NOTEBOOKS = os.path.join(ROOT, "notebooks")
WHEELS = os.path.join(ROOT, "wheels")  # filled by `course.py download`; used first when it is there
STAMP = "course-stamp.txt"  # inside .venv, written last: without it .venv is not trusted
CHECKED = "course-checked.txt"  # beside it: the whole check of the machine has passed once
DISK_GB = 3.5  # free disk a set-up needs: 2.8 GB installed, the rest for downloads and caches
JOB_GB = 3.0  # memory one running notebook may need
CELL_SECONDS = 300  # a cell that takes longer has lost its kernel
TASK_SECONDS = 1800

COMMANDS = {
    "open": "set up what is missing, check the machine, open JupyterLab (the default)",
    "setup": "only create .venv",
    "check": "is this machine ready? each problem with its mend",
    "test": "lint, unit tests, the notebooks' form, then every notebook and solution against its outputs",
    "run": "run notebooks and their solutions again and refresh their outputs",
    "book": "build the web book in build/book",
    "download": "fetch every package into wheels/, to set up other machines without a network",
    "bench": "measure model quality for one use case (minutes)",
}


class CourseError(Exception):
    """Something the user can mend; its text says how."""


# --------------------------------------------------------------------------------------------------
# The machine
# --------------------------------------------------------------------------------------------------
def check_python(version=None, system=None, machine=None):
    """Raise CourseError when TensorFlow has no build for this Python or this machine."""
    version = tuple(version or sys.version_info[:2])
    if not (3, 11) <= version < (3, 14):
        raise CourseError(
            f"The course needs {WANTED}, but this is Python {version[0]}.{version[1]}. Install one of them "
            "from https://www.python.org/downloads/ (or with uv, conda or your system's packages) and "
            "start again with it, for example: python3.12 course.py"
        )
    if (system or platform.system()) == "Darwin" and (machine or platform.machine()) == "x86_64":
        raise CourseError(
            "TensorFlow is no longer built for Macs with an Intel processor (or your Python is an Intel "
            "one on Apple silicon: then install an arm64 Python). Use the course in a container "
            "(.devcontainer) or on another machine."
        )
    if sys.maxsize < 2**32:
        raise CourseError(
            "TensorFlow needs a 64-bit Python; this one is 32-bit. Install the 64-bit build and start again."
        )


def check_disk(free_bytes=None):
    """Raise CourseError when the disk cannot hold the packages."""
    free = shutil.disk_usage(ROOT).free if free_bytes is None else free_bytes
    if free < DISK_GB * 1e9:
        raise CourseError(
            f"The set-up needs {DISK_GB:.1f} GB of free disk and there are {free / 1e9:.1f} GB. Free some "
            "space, or move this folder to a larger disk, and start again."
        )


def venv_python():
    """Path of the interpreter inside .venv."""
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(VENV, *parts)


def child_env(jobs=1):
    """Environment for everything started here: the same for JupyterLab, the tests and `run`.

    What could make a notebook behave differently on one machine is taken out; proxies,
    certificates and package indexes stay as they are.
    """
    unwanted = ("PYTHONHOME", "PYTHONSTARTUP", "MPLBACKEND")
    unwanted += ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS")
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    env.update(PYTHONPATH=ROOT, PYTHONNOUSERSITE="1", JUPYTER_PREFER_ENV_PATH="1", PYTHONUNBUFFERED="1")
    if jobs > 1:  # side by side each keeps to one core: threads that wait for each other take far longer
        env.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")
    return env


# --------------------------------------------------------------------------------------------------
# Set-up
# --------------------------------------------------------------------------------------------------
def expected_stamp():
    """What the stamp must hold: the lock's hash and the Python version."""
    with open(LOCK, "rb") as file:
        digest = hashlib.sha256(file.read().replace(b"\r\n", b"\n")).hexdigest()
    return f"{digest} {sys.version_info[0]}.{sys.version_info[1]}"


def read_stamp(name=STAMP):
    """Content of the stamp, or an empty text when .venv is missing or was not finished."""
    if not os.path.exists(venv_python()):
        return ""
    try:
        with open(os.path.join(VENV, name), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def write_stamp(name=STAMP):
    """Write the stamp, whole or not at all."""
    path = os.path.join(VENV, name)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(expected_stamp() + "\n")
    os.replace(path + ".part", path)


@contextlib.contextmanager
def only_one_setup():
    """Let a second set-up wait for the first; the lock goes away with the process that holds it."""
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "setup.lock"), "a+") as file:
        said = False
        while True:
            try:
                if os.name == "nt":
                    import msvcrt

                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not said:
                    print(
                        "Another set-up of this folder is running; waiting for it to finish ...", flush=True
                    )
                said = True
                time.sleep(0.5)
        _held.append(file.fileno())
        try:
            yield
        finally:
            _held.clear()


_held = []  # the lock, handed to pip and uv: should this process be killed, a next one waits until they end


def up_to_date():
    """Whether .venv was finished with this lock, by whatever admitted Python."""
    return read_stamp().split()[:1] == expected_stamp().split()[:1]


def setup():
    """Make sure that .venv holds exactly the locked packages; return at once when it does."""
    check_python()
    if up_to_date():
        return
    with only_one_setup():
        if os.path.isdir(KEPT):  # an update was killed: take the old set-up as if it had not begun
            if not read_stamp():
                put_back()
            else:
                shutil.rmtree(KEPT, ignore_errors=True)
        if up_to_date():  # the set-up this one waited for did the work
            return
        check_disk()
        start = time.time()
        if read_stamp():
            print("The packages have changed since the last set-up: making .venv afresh.", flush=True)
            set_aside()
        elif os.path.lexists(VENV):
            print("The .venv here is unfinished: making it afresh.", flush=True)
            remove_venv()
        print(f"Setting up the course in {VENV} (about 2.8 GB; one to five minutes).", flush=True)
        try:
            install()
            write_stamp()
        except BaseException:
            if os.path.isdir(KEPT):
                put_back()
                print("The set-up of before the update was put back.", flush=True)
            raise
        shutil.rmtree(KEPT, ignore_errors=True)
        print(f"Set-up finished in {time.time() - start:.0f} s.", flush=True)


def set_aside():
    """Keep the old .venv until the new one is whole: an update may fail for want of a network."""
    shutil.rmtree(KEPT, ignore_errors=True)
    try:
        os.replace(VENV, KEPT)
    except OSError as error:
        raise CourseError(
            f"The folder .venv cannot be renamed ({error}). Close JupyterLab and every program that uses it, "
            "and start again."
        ) from None


def put_back():
    """Take the old .venv again in place of an unfinished new one."""
    remove_venv()
    os.replace(KEPT, VENV)


def remove_venv():
    """Delete .venv: the stamp first, so that an interrupted removal is never taken for a whole one."""
    with contextlib.suppress(OSError):
        os.remove(os.path.join(VENV, STAMP))
    try:
        if os.path.islink(VENV) or os.path.isfile(VENV):
            os.remove(VENV)
        else:
            shutil.rmtree(VENV)
    except OSError as error:
        raise CourseError(
            f"The folder .venv cannot be removed ({error}). Close JupyterLab and every program that uses "
            "it, delete the folder by hand and start again."
        ) from None


def install():
    """Create .venv if it is missing, install the lock into it, put the project on its path."""
    local = [["--no-index", "--find-links", WHEELS]] if os.path.isdir(WHEELS) else []
    tools = [install_with_uv, install_with_pip] if shutil.which("uv") else [install_with_pip]
    attempts = [(tool, source) for tool in tools for source in [*local, []]]
    for attempt, (tool, source) in enumerate(attempts, 1):
        try:
            tool(source)
            break
        except CourseError as error:
            if attempt == len(attempts):
                raise
            print(f"{error}\nTrying another way.", flush=True)
            remove_venv()
    # A relative line: the folder may be moved, and no letter of its path can be a problem.
    where = site_packages()
    with open(os.path.join(where, "course.pth"), "w", encoding="ascii") as file:
        file.write(os.path.relpath(os.path.realpath(ROOT), os.path.realpath(where)) + "\n")


def site_packages():
    """Folder of .venv that holds the packages."""
    code = "import sysconfig; print(ascii(sysconfig.get_path('purelib')))"
    found = subprocess.check_output([venv_python(), "-c", code], env=child_env())
    return ast.literal_eval(found.decode("ascii").strip())


def install_with_uv(source):
    """Create .venv and install the lock with uv."""
    uv, env = shutil.which("uv"), uv_env()
    if not os.path.exists(venv_python()):
        make = [uv, "venv", "--quiet", "--no-project", "--python", base_python(), VENV]
        step("creating .venv with uv", make, env)
    sync = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode", "--only-binary", ":all:", *source]
    step("installing the packages with uv", [*sync, "--python", venv_python(), LOCK], env, locked_count())


def install_with_pip(source):
    """Create .venv and install the lock with Python's own tools."""
    if not os.path.exists(venv_python()):
        for module in ("venv", "ensurepip"):
            try:
                __import__(module)
            except ImportError:
                raise CourseError(
                    f"This Python has no module '{module}', which makes virtual environments. On Debian and "
                    f"Ubuntu: sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv. "
                    "Elsewhere install Python from https://www.python.org/downloads/ or uv, and start "
                    "again."
                ) from None
        step("creating .venv", [base_python(), "-m", "venv", VENV], child_env())
    # No resolver is needed (the lock is complete), nothing may be built, every hash must match.
    pip = [venv_python(), "-m", "pip", "install", *PIP_OPTIONS.split(), "--no-compile", *source, "-r", LOCK]
    step("installing the packages with pip", pip, pip_env(venv_python()), locked_count())
    # pip would compile file by file on one processor. Files that do not compile are examples and templates.
    compile_all = [venv_python(), "-m", "compileall", "-q", "-q", "-j", "0", site_packages()]
    step("compiling the packages, so that lessons start faster", compile_all, child_env(), must=False)


def base_python():
    """Return the interpreter outside any virtual environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


PIP_OPTIONS = "--require-hashes --no-deps --only-binary :all: --no-input --progress-bar off"
PIP_OPTIONS += " --disable-pip-version-check"
PIP_KEEP = "index-url extra-index-url find-links no-index proxy cert client-cert trusted-host timeout retries"
PIP_KEEP += " cache-dir keyring-provider use-feature use-deprecated"
UV_DROP = "UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_PROJECT_ENVIRONMENT UV_NO_BINARY VIRTUAL_ENV"


def pip_env(python, listing=None):
    """Environment for pip: the user's proxy, certificates and indexes, none of his other settings.

    A constraint file, `--user`, `--target` or `--no-binary` set for the whole machine would break a
    locked installation. pip itself is asked for its settings, then reads no file.
    """
    env = child_env()
    if listing is None:
        ask = [python, "-m", "pip", "config", "list"]
        found = subprocess.run(ask, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        listing = found.stdout.decode("utf-8", "replace")
    kept = {}
    for line in listing.splitlines():
        match = re.match(r"(:env:|global|install)\.([\w-]+)=(['\"])(.*)\3$", line.strip())
        if match and match[2] in PIP_KEEP.split():
            value = match[4].encode("latin-1", "backslashreplace").decode("unicode_escape")
            kept.setdefault(match[2], {})[match[1]] = " ".join(value.split())
    for name in [name for name in env if name.upper().startswith("PIP_")]:
        del env[name]
    for name, values in kept.items():
        # The order in which pip lets one setting win over another.
        winner = next(where for where in (":env:", "install", "global") if where in values)
        env["PIP_" + name.upper().replace("-", "_")] = values[winner]
    env["PIP_CONFIG_FILE"] = os.devnull
    return env


def uv_env():
    """Environment for uv, without constraints and overrides of other projects."""
    env = child_env()
    for name in UV_DROP.split():
        env.pop(name, None)
    return env


def locked_count():
    """Number of packages the lock names (some are for other systems)."""
    with open(LOCK, encoding="utf-8") as file:
        return len(re.findall(r"^[\w.-]+==", file.read(), re.MULTILINE))


def step(what, command, env, count=0, must=True):
    """Run one step of the set-up, show that it is alive, explain it when it fails."""
    log_path = os.path.join(BUILD, "setup.log")
    os.makedirs(BUILD, exist_ok=True)
    start, shown = time.time(), 0.0
    with open(log_path, "wb") as log:
        more = {"pass_fds": _held} if os.name != "nt" else {}
        process = subprocess.Popen(
            command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more
        )
        try:
            while process.poll() is None:
                time.sleep(0.2)
                wait = 1 if sys.stdout.isatty() else 10
                if time.time() - shown >= wait:
                    shown = time.time()
                    alive(f"{what}: {shown - start:.0f} s{progress(log_path, count)}")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    alive(f"{what}: done in {time.time() - start:.0f} s", last=True)
    if process.returncode and must:
        with open(log_path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        raise CourseError(explain(what, text))


def alive(text, last=False):
    """Print a progress line: over the last one in a terminal, below it in a log."""
    if sys.stdout.isatty():
        print("\r" + text.ljust(78), end="\n" if last else "", flush=True)
    else:
        print(text, flush=True)


def progress(log_path, count):
    """Read from pip's own output how far it is."""
    if not count:
        return ""
    with open(log_path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if "Installing collected packages" in text:
        return ", all downloaded, writing them to disk"
    fetched = len(re.findall(r"^Collecting ", text, re.MULTILINE))
    return f", package {fetched} of about {count}" if fetched else ""


CAUSES = (
    (
        r"Long Path|path too long|filename or extension is too long",
        "The path of this folder is too long for Windows. Move the course to a short one, such as "
        "C:\\course, or switch on long paths, and start again.",
    ),
    (r"No space left|not enough space|Errno 28", "The disk is full. Free about 4 GB and start again."),
    (
        r"DO NOT MATCH THE HASHES|[Hh]ash mismatch",
        "A downloaded file is not the one the course was made with, so it was not installed. Try once more "
        "(a download may have been cut off); if it stays, your package index or proxy changes files: use "
        "another network.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|invalid peer certificate",
        "The secure connection was refused: this network replaces certificates. Ask for its certificate "
        "file and name it in the environment variables PIP_CERT and SSL_CERT_FILE.",
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|Failed to establish|ConnectTimeout|"
        r"ReadTimeout|Connection refused|Network is unreachable|dns error|error sending request|"
        r"timed out|Proxy",
        "No package index can be reached. Check the network (and the proxy: environment variable "
        "HTTPS_PROXY) and start again. Without any network: on a machine that has one, run `python "
        "course.py download` and bring its folder wheels/ here.",
    ),
    (
        r"No matching distribution|Could not find a version|no wheels with a matching",
        f"A package has no build for this system ({platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}), or your package index lacks it.",
    ),
    (
        r"ensurepip",
        f"On Debian and Ubuntu install python{sys.version_info[0]}.{sys.version_info[1]}-venv and start "
        "again.",
    ),
    (
        r"Permission denied|PermissionError",
        "This folder may not be written to. Copy the course to a folder of your own.",
    ),
)


def explain(what, text):
    """Turn the output of a failed step into one sentence on its cause, with the last lines below."""
    tail = "\n".join("    " + line for line in text.strip().splitlines()[-8:])
    found = [sentence for pattern, sentence in CAUSES if re.search(pattern, text)]
    cause = found[0] if found else "See its output below."
    return f"Failed while {what}. {cause}\n{tail}\n    (all of it: {os.path.join('build', 'setup.log')})"


# --------------------------------------------------------------------------------------------------
# Notebooks
# --------------------------------------------------------------------------------------------------
def find_notebooks(prefixes=()):
    """Paths of the notebooks and solutions whose name starts with one of the prefixes (all if none)."""
    paths = []
    for folder in (NOTEBOOKS, os.path.join(NOTEBOOKS, "solutions")):
        if os.path.isdir(folder):
            paths += [
                os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".ipynb")
            ]
    names = [re.sub(r"\.ipynb$", "", os.path.basename(prefix)) for prefix in prefixes]
    for given, name in zip(prefixes, names, strict=True):
        if not any(os.path.basename(path).startswith(name) for path in paths):
            known = sorted({os.path.basename(path)[:2] for path in paths})
            raise CourseError(f"There is no notebook '{given}'. There are: {', '.join(known) or 'none yet'}.")
    if names:
        paths = [path for path in paths if os.path.basename(path).startswith(tuple(names))]
    return paths


def label(path):
    """Short name of a notebook: `21_sales_prepare`, `solutions/21_sales_prepare`."""
    return os.path.relpath(path, NOTEBOOKS).replace(os.sep, "/")[: -len(".ipynb")]


def minutes_hint(path):
    """Minutes a notebook says it runs, to start the long ones first."""
    with open(path, encoding="utf-8") as file:
        found = re.search(r"run (\d+(?:\.\d+)?)", file.read(4000))
    return float(found[1]) if found else 0.5


def jobs_default():
    """How many notebooks may run at once: limited by processors and by memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            memory = int(re.search(r"MemAvailable:\s+(\d+)", file.read())[1]) / 1e6
    except (OSError, TypeError, ValueError):
        memory = JOB_GB
    limit = "/sys/fs/cgroup/memory.max"  # a container's own; "max" is no number
    with contextlib.suppress(OSError, ValueError), open(limit, encoding="ascii") as file:
        memory = min(memory, int(file.read()) / 1e9)
    return max(1, min(cores, 4, int(memory / JOB_GB)))


class Task:
    """One command of a longer run, with a log of its own."""

    def __init__(self, name, *commands):
        self.name, self.commands = name, commands
        self.log = os.path.join(BUILD, "logs", name.replace("/", "-").replace(" ", "-") + ".log")
        self.seconds, self.code, self.start, self.process = 0.0, None, None, None

    def run(self, jobs=1):
        """Run the commands one after another, all of them; the code is the first failure's."""
        self.start, self.code = time.time(), None
        code = 0
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        with open(self.log, "wb") as log:
            for command in self.commands:
                log.write(("$ " + " ".join(command) + "\n").encode("utf-8", "replace"))
                log.flush()
                self.process = subprocess.Popen(
                    command, cwd=ROOT, env=child_env(jobs), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
                try:
                    code = self.process.wait(TASK_SECONDS) or code
                except subprocess.TimeoutExpired:
                    self.process.terminate()
                    log.write(f"\nstopped after {TASK_SECONDS / 60:.0f} minutes\n".encode())
                    code = 1
        self.seconds, self.code = time.time() - self.start, code

    def tail(self, lines=60):
        """Return the last lines of the log."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "\n".join("    " + line for line in file.read().rstrip().splitlines()[-lines:])


def run_tasks(tasks, jobs):
    """Run tasks, `jobs` at a time, show which are running, go on after a failure."""
    queue, printing, running = list(tasks), threading.Lock(), []
    total, stop = len(queue), threading.Event()

    def say(text):
        with printing:
            print(text, flush=True)

    def worker():
        while queue and not stop.is_set():
            with printing:
                if not queue:
                    return
                task = queue.pop(0)
                running.append(task)
                print(f"[{total - len(queue):2d}/{total}] {task.name} ...", flush=True)
            task.run(jobs)
            running.remove(task)
            if stop.is_set():
                return
            verdict = "ok" if task.code == 0 else "FAILED"
            say(f"        {task.name}: {verdict}, {task.seconds:.0f} s")
            if task.code:
                say(f"{task.tail()}\n    (all of it: {os.path.relpath(task.log, ROOT)})")

    threads = [threading.Thread(target=worker, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    last = time.time()
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.1)
            if time.time() - last > 20:
                last = time.time()
                now = ", ".join(f"{task.name} {last - task.start:.0f} s" for task in list(running))
                say(f"        running: {now}")
    except KeyboardInterrupt:
        stop.set()
        for task in list(running):
            if task.process:
                task.process.terminate()
        raise


def closing(tasks, started, what, jobs):
    """Print the table of minutes and one closing line; return the exit code."""
    width = max(len(task.name) for task in tasks)
    print(f"\n{'what'.ljust(width)}  minutes  result    ({jobs} at a time)")
    for task in sorted(tasks, key=lambda task: (bool(re.match(r"\d|solutions", task.name)), task.name)):
        print(f"{task.name.ljust(width)}  {task.seconds / 60:7.2f}  {'ok' if task.code == 0 else 'FAILED'}")
    failed = [task.name for task in tasks if task.code != 0]
    minutes = (time.time() - started) / 60
    if failed:
        names = ", ".join(failed)
        print(f"\n{what}: FAILED in {minutes:.1f} minutes: {names} (logs in build/logs).", flush=True)
        return 1
    print(f"\n{what}: all {len(tasks)} parts passed in {minutes:.1f} minutes.", flush=True)
    return 0


# --------------------------------------------------------------------------------------------------
# Commands
# --------------------------------------------------------------------------------------------------
def command_setup(options):
    """Create .venv."""
    setup()
    print("The course is set up. Open it with: python course.py")
    return 0


def command_check(options):
    """Check the machine."""
    setup()
    return subprocess.call([venv_python(), "-m", "ecomlib.check"], cwd=ROOT, env=child_env())


def command_open(options):
    """Check the machine and become JupyterLab."""
    setup()
    quick = ["--quick"] if read_stamp(CHECKED) == expected_stamp() else []
    if subprocess.call([venv_python(), "-m", "ecomlib.check", *quick], cwd=ROOT, env=child_env()):
        raise CourseError("This machine is not ready; the lines marked FAIL say what to mend.")
    write_stamp(CHECKED)
    first = os.path.join("notebooks", "00_start_here.ipynb")
    # No news, no update check, no extension list: the course asks nothing of the network.
    lab = [venv_python(), "-m", "jupyterlab", *([first] if os.path.exists(os.path.join(ROOT, first)) else [])]
    lab += [f"--ServerApp.root_dir={ROOT}", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"]
    lab += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    lab += [f"--port={options.port}"] if options.port else []
    lab += ["--no-browser"] if options.no_browser else []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        lab += ["--allow-root"]  # root is the only user in most containers
    print("Opening JupyterLab; stop it with Ctrl+C here.", flush=True)
    os.chdir(ROOT)
    if os.name == "nt":
        with subprocess.Popen(lab, env=child_env()) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    pass
    os.execve(lab[0], lab, child_env())


def command_test(options):
    """Test everything, or the notebooks named, or all but the notebooks."""
    chosen = [] if options.quick else find_notebooks(options.notebooks)
    setup()
    started, python = time.time(), venv_python()
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    form = Task("form of the notebooks", [*pytest, "-p", "no:nbval", "tests/test_notebooks.py"])
    tasks, ruff = [form], [python, "-m", "ruff"]
    if not options.notebooks:
        unit = [
            *pytest,
            "-p",
            "no:nbval",
            "--doctest-modules",
            "--ignore=tests/test_notebooks.py",
            "--durations=5",
        ]
        where = ["tests", "ecomlib"]
        tasks = [
            Task("machine", [python, "-m", "ecomlib.check"]),
            Task("lint", [*ruff, "check", "."], [*ruff, "format", "--check", "."]),
            form,
            Task("unit tests and doctests", [*unit, "-m", "not slow and not browser and not book", *where]),
        ]
        if not options.quick:
            tasks.append(Task("book and browser", [*unit, "-m", "browser or book", "-rs", *where]))
    nbval = [*pytest, "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}"]
    nbval += ["--nbval-sanitize-with", os.path.join("tests", "sanitize.cfg")]
    notebooks = []
    for path in sorted(chosen, key=minutes_hint, reverse=True):
        also = [] if "solutions" in label(path) else ["tests/test_take_with_you.py", "--only=" + label(path)]
        notebooks.append(Task(label(path), [*nbval, os.path.relpath(path, ROOT), *also]))
    jobs = options.jobs or jobs_default()
    print(f"Testing: {len(tasks)} parts and {len(notebooks)} notebooks, {jobs} at a time.", flush=True)
    run_tasks([*tasks, *notebooks], jobs)
    return closing([*tasks, *notebooks], started, "course test", jobs)


def command_run(options):
    """Run notebooks and replace each one whose cells all ran."""
    chosen = find_notebooks(options.notebooks)
    setup()
    started = time.time()
    script = os.path.abspath(__file__)
    tasks = [
        Task(label(path), [venv_python(), script, "_execute", path])
        for path in sorted(chosen, key=minutes_hint, reverse=True)
    ]
    if not tasks:
        raise CourseError("There is no notebook yet.")
    jobs = min(options.jobs or jobs_default(), len(tasks))
    run_tasks(tasks, jobs)
    return closing(tasks, started, "course run", jobs)


def execute(path):
    """Run one notebook in a fresh kernel and refresh its outputs (called inside .venv)."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    total = len(notebook.cells)
    client = nbclient.NotebookClient(
        notebook,
        timeout=2 * CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": os.path.dirname(path)}},
        record_timing=False,
        store_widget_state=False,  # the web book would ask an outside server to show it
        coalesce_streams=True,
        on_cell_execute=lambda cell, cell_index: print(f"cell {cell_index + 1} of {total}", flush=True),
    )
    try:
        client.execute()
    except (nbclient.exceptions.DeadKernelError, nbclient.exceptions.CellTimeoutError) as error:
        print(
            f"{error}\nThe kernel died or a cell took too long, most likely for want of memory: close other "
            "programs."
        )
        print(f"{label(path)} was left as it was.")
        return 1
    except nbclient.exceptions.CellExecutionError as error:
        print(re.sub(r"\x1b\[[0-9;]*m", "", str(error)))
        print(f"{label(path)} was left as it was.")
        return 1
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    notebook.metadata.pop("widgets", None)
    nbformat.validate(notebook)
    temporary = path + ".part"
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(nbformat.writes(notebook).rstrip("\n") + "\n")
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)
    return 0


def book_command():
    """Return the command that builds the web book; a warning is an error."""
    return [venv_python(), os.path.join(ROOT, "book", "build.py")]


def command_book(options):
    """Build the web book from the committed outputs."""
    setup()
    code = subprocess.call(book_command(), cwd=ROOT, env=child_env())
    if code:
        raise CourseError("The book has problems; the lines above name them.")
    print(f"Open it in a browser: {os.path.join('build', 'book', 'index.html')}.")
    return 0


def command_download(options):
    """Fetch every package of the lock for this system and this Python."""
    check_disk()
    same = read_stamp().split()[1:] == expected_stamp().split()[1:]  # wheels are for one Python
    for python in (venv_python(), base_python()) if same else (base_python(),):
        if os.path.exists(python) and not subprocess.call(
            [python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ):
            break
    else:
        raise CourseError(
            "This Python has no pip. Install it (Debian and Ubuntu: sudo apt install python3-pip)."
        )
    pip = [python, "-m", "pip", "download", *PIP_OPTIONS.split(), "-d", WHEELS, "-r", LOCK]
    step("downloading the packages", pip, pip_env(python), locked_count())
    size = sum(entry.stat().st_size for entry in os.scandir(WHEELS)) / 1e9
    print(
        f"{size:.1f} GB in {WHEELS}, for {platform.system()} {platform.machine()} with Python "
        f"{sys.version_info[0]}.{sys.version_info[1]}. Copy this folder to a machine of that kind, without "
        ".venv, and start it there: python course.py"
    )
    return 0


def command_bench(options):
    """Hand over to benchmarks/quality.py."""
    setup()
    script = os.path.join(ROOT, "benchmarks", "quality.py")
    return subprocess.call([venv_python(), script, *options.rest], cwd=ROOT, env=child_env())


def parse(arguments):
    """Read the command line."""
    arguments = list(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments.insert(0, "open")
    if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        listing = "\n".join(f"    python course.py {name:6s} {text}" for name, text in COMMANDS.items())
        raise CourseError(f"There is no command '{arguments[0]}'.{hint} There are:\n{listing}")
    parser = argparse.ArgumentParser(
        prog="course.py", description="Set up, open, test and rebuild the course."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()
    }
    add = parsers["open"].add_argument
    add("--no-browser", action="store_true", help="only start the server and print its address")
    add("--port", type=int, help="port of the server (default: the first free one from 8888)")
    parsers["test"].add_argument("--quick", action="store_true", help="all but the notebooks and the book")
    for name in ("test", "run"):
        add = parsers[name].add_argument
        add("notebooks", nargs="*", metavar="NN", help="first letters of notebooks: 21, 2, 21_sales")
        add("--jobs", type=int, help="how many notebooks at once (default: by processors and memory)")
    add = parsers["bench"].add_argument
    add("rest", nargs=argparse.REMAINDER, help="use case and options of benchmarks/quality.py")
    return parser.parse_args(arguments)


def stop(number, frame):
    """Treat a request to end like Ctrl+C."""
    raise KeyboardInterrupt


def main(arguments):
    """Run one command; a problem the user can mend is one sentence, never a traceback."""
    if arguments[:1] == ["_execute"]:
        return execute(os.path.abspath(arguments[1]))
    try:
        check_python()
        with contextlib.suppress(ValueError):  # outside the main thread
            signal.signal(signal.SIGTERM, stop)  # ended by another program: stop what was started, too
        options = parse(arguments)
        return globals()["command_" + options.command](options)
    except CourseError as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Start the same command again; what was left half-done is made afresh.",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
