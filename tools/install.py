"""Make the course's environment: uv installs the lock, every hash checked, from wheels/ or by network.

Runs before anything is installed: the standard library only. A new environment is made aside, in a folder
`.venv-*`, and takes the place of `.venv` only when it is whole. So a set-up may be killed, may run twice
at once or may find no network, and `.venv` is always a whole one or none; uv keeps its own locks.
"""

import ast
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP, CHECKED = "course-stamp.txt", "course-checked.txt"  # in .venv: it is whole; it passed the whole check
DISK_GB = 3.5  # free disk a set-up needs: 2.8 GB installed, the rest for downloads and caches
UV_SINCE = (0, 8)  # an older uv of the machine is not used
SILENCE = 15  # seconds until a step that says nothing shows that it is alive
ORPHAN = 120  # a running set-up touches its folder more often than that

CAUSES = (
    (
        r"[Ll]ong [Pp]ath|path too long|filename or extension is too long|os error 206",
        "This folder's path is too long for Windows: move the course to a short one, such as C:\\course.",
    ),
    (r"No space left|not enough space|os error 112|[Qq]uota", "The disk is full. Free about 4 GB."),
    (
        r"HASHES|[Hh]ash mismatch",
        "A downloaded file is not the one the course was made with, so it was not installed. Try once more; "
        "if it stays, your package index or proxy changes files: use another network.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|invalid peer certificate|UnknownIssuer",
        "The secure connection was refused: this network replaces certificates. Ask for its certificate file "
        "and name it in the environment variable SSL_CERT_FILE.",
    ),
    (r"WinError 32|os error 32\b|used by another process", "Another program holds a file open: close it."),
    (r"Permission denied|PermissionError|os error (5|13|30)\b|Read-only", "A folder may not be written to."),
    (
        r"407|[Pp]roxy|SOCKS",
        "The proxy refused the connection: set HTTPS_PROXY to http://user:password@host:port as your network "
        "asks for it.",
    ),
    (
        r"NewConnectionError|[Nn]ame ?[Rr]esolution|ConnectTimeout|ReadTimeout|Connection refused|"
        r"unreachable|dns error|error sending request|[Tt]imed? ?out|Failed to fetch",
        "No package index can be reached. Check the network (and the proxy: HTTPS_PROXY). Without any "
        "network: on a machine that has one, run `python course.py download` and bring its folder wheels/.",
    ),
    (
        r"No matching distribution|no wheels with a matching|not found in the p|no matching",
        f"A package has no file for this system ({platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}): your package index, or the folder wheels/, lacks it.",
    ),
)


class SetupError(Exception):
    """Something the user can repair; its text says how."""


def venv() -> Path:
    """Folder of the course's environment."""
    return ROOT / ".venv"


def program(folder: Path, name: str) -> Path:
    """Path of a program inside an environment."""
    return folder / "Scripts" / f"{name}.exe" if os.name == "nt" else folder / "bin" / name


def lock_of(group: str = "") -> Path:
    """Path of the course's lock, or of that of an optional group."""
    return ROOT / (f"requirements-{group}.lock" if group else "requirements.lock")


def stamp(groups: list[str]) -> str:
    """Return what a whole environment says of itself: the hash of its locks, then its groups."""
    texts = [lock_of(group).read_bytes().replace(b"\r\n", b"\n") for group in ["", *groups]]
    return " ".join([hashlib.sha256(b"".join(texts)).hexdigest(), *groups])


def read_stamp(name: str = STAMP) -> str:
    """Return the stamp of .venv; an empty text when it is missing."""
    path = venv() / name
    whole = program(venv(), "python").exists() and path.exists()
    return path.read_text(encoding="utf-8").strip() if whole else ""


def write_stamp(name: str, text: str, folder: Path | None = None) -> None:
    """Write a stamp into .venv, or into a folder that will be .venv."""
    ((folder or venv()) / name).write_text(text + "\n", encoding="utf-8")


def setup(groups: list[str] | tuple[str, ...] = ()) -> str:
    """Make sure that .venv holds exactly the locked packages; return its Python.

    Parameters
    ----------
    groups : list of str
        Optional groups to add; those of an earlier set-up stay.

    Raises
    ------
    SetupError
        When something is missing that the user can provide.
    """
    for group in groups:
        if not lock_of(group).exists():
            known = sorted(path.stem[len("requirements-") :] for path in ROOT.glob("requirements-*.lock"))
            raise SetupError(f"There is no group '{group}'. There are: {', '.join(known) or 'none yet'}.")
    if not os.access(ROOT, os.W_OK):
        raise SetupError(f"The folder {ROOT} cannot be written to: copy the course to a folder of your own.")
    groups = sorted({*groups, *(name for name in read_stamp().split()[1:] if lock_of(name).exists())})
    if read_stamp() != stamp(groups):
        for path in ROOT.iterdir():  # left by a set-up that was killed
            if path.name.startswith(".venv-") and time.time() - path.stat().st_mtime > ORPHAN:
                shutil.rmtree(path, ignore_errors=True)
        free = shutil.disk_usage(ROOT).free / 1e9
        if free < DISK_GB:
            raise SetupError(f"The set-up needs {DISK_GB} GB of free disk, and there are {free:.1f} GB.")
        print(f"Setting up the course in {venv()} (about 2.8 GB; one to five minutes).", flush=True)
        start, scratch = time.time(), Path(tempfile.mkdtemp(prefix=".venv-", dir=ROOT))
        try:
            install(scratch, groups)
            write_stamp(STAMP, stamp(groups), scratch / "env")
            if read_stamp() != stamp(groups):  # unless another set-up was faster
                take_place(scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        print(f"Set-up finished in {time.time() - start:.0f} s.", flush=True)
    pack_lessons()
    return str(program(venv(), "python"))


def pack_lessons() -> Path:
    """Path of a copy of the lessons as they came, made at the first start of each version of the course."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    path = ROOT / "build" / f"lessons-{version}.zip"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path.with_suffix(".part"), "w", zipfile.ZIP_DEFLATED) as archive:
            for notebook in (ROOT / "notebooks").glob("*.ipynb"):
                archive.write(notebook, notebook.name)
        path.with_suffix(".part").replace(path)
    return path


def take_place(scratch: Path) -> None:
    """Put the new environment in the place of the old one, which comes back when that fails."""
    old = scratch / "old"
    try:
        if os.path.lexists(venv()):
            os.replace(venv(), old)
        os.replace(scratch / "env", venv())
    except OSError as error:
        if os.path.lexists(old):
            os.replace(old, venv())
        raise SetupError(
            f"The folder .venv cannot be replaced ({error}). Close JupyterLab and every program that uses "
            "it, and start again."
        ) from None


def install(scratch: Path, groups: list[str]) -> None:
    """Make the environment `env` in a folder and install the locks into it: from wheels/, else by network."""
    new, wheels, problems = scratch / "env", ROOT / "wheels", []
    settings, locks = index_settings(), [lock_of(group) for group in ["", *groups]]
    env = uv_env(settings)
    offline: list[str | Path] = ["--no-index", "--find-links", wheels]
    for source in [offline, []] if wheels.is_dir() else [[]]:
        try:
            uv = find_uv(scratch, source, settings)
            make = [uv, "venv", "--quiet", "--clear", "--no-project", "--relocatable"]
            step(scratch, "making the environment", [*make, "--python", base_python(), new], env)
            sync = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode", "--only-binary", ":all:"]
            sync += [*source, *(["--offline"] if source else []), "--python", program(new, "python")]
            step(scratch, "installing the packages", [*sync, *locks], env)
            break
        except SetupError as error:
            problems.append(misfit(str(error)) if source and "lacks it" in str(error) else str(error))
            if source:
                print(f"{problems[-1]} Trying the network.", flush=True)
    else:
        raise SetupError("\n".join(problems))
    code = "import sysconfig; print(ascii(sysconfig.get_path('purelib')))"
    where = ast.literal_eval(subprocess.check_output([program(new, "python"), "-c", code]).decode("ascii"))
    # First on the path, wherever the folder is moved to: a package of the same name is unrelated.
    line = "import os, sys; sys.path.insert(0, os.path.dirname(os.path.realpath(sys.prefix)))\n"
    (Path(where) / "course.pth").write_text(line, encoding="ascii")


def base_python() -> str:
    """Return the interpreter outside any virtual environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


def find_uv(scratch: Path, source: list, settings: dict[str, str]) -> str | Path:
    """Return the machine's uv, that of .venv, or one that pip fetches by the lock into a folder."""
    for uv in (shutil.which("uv"), program(venv(), "uv")):
        if uv and Path(uv).exists():
            found = subprocess.run([uv, "--version"], capture_output=True, text=True).stdout
            version = re.match(r"uv (\d+)\.(\d+)", found)
            if version and (int(version[1]), int(version[2])) >= UV_SINCE:
                return uv
    boot = scratch / "boot"
    try:
        import ensurepip  # noqa: F401
        import venv as _  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"This Python has no module '{error.name}', which makes virtual environments. On Debian and "
            f"Ubuntu: sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv. Elsewhere "
            "install Python from https://www.python.org/downloads/, or uv, and start again."
        ) from None
    step(scratch, "making a place for uv", [base_python(), "-m", "venv", boot], dict(os.environ))
    entry = re.findall(r"^uv==.*?(?=^[\w.-]+==|\Z)", lock_of().read_text(encoding="utf-8"), re.M | re.S)
    (scratch / "uv.lock").write_text(entry[0], encoding="utf-8")
    pip = [program(boot, "python"), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-cache-dir"]
    pip += ["--only-binary", ":all:", "--progress-bar", "off", "--disable-pip-version-check", *source]
    step(scratch, "fetching uv", [*pip, "-r", scratch / "uv.lock"], pip_env(settings))
    return program(boot, "uv")


# Of pip's settings: the network's are kept, for pip and for uv. A constraint, `--user` or `--no-binary` set
# for the whole machine would break a locked installation.
KEPT = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "HTTPS_PROXY",
}


def index_settings(listing: str | None = None) -> dict[str, str]:
    """Return pip's network settings: from the environment, then from its files, as pip itself lists them."""
    if listing is None:
        ask = [base_python(), "-m", "pip", "config", "list"]
        listing = subprocess.run(ask, capture_output=True, encoding="utf-8", errors="replace").stdout
    mine = {name[4:]: value for name, value in os.environ.items() if name.startswith("PIP_")}
    found = {name.lower().replace("_", "-"): value for name, value in mine.items()}
    for scope in (":env:", "install", "global"):  # in the order in which one wins over another
        for name, value in re.findall(rf"^{scope}\.([\w-]+)=(['\"].*['\"])$", listing, re.M):
            found.setdefault(name, ast.literal_eval(value))
    return {name: " ".join(value.split()) for name, value in found.items() if name in KEPT}


def pip_env(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment for pip: no setting but the network's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    env.update({"PIP_" + name.upper().replace("-", "_"): value for name, value in settings.items()})
    return {**env, "PIP_CONFIG_FILE": os.devnull}


def uv_env(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment for uv: its own settings of the machine, then pip's."""
    drop = "UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_PROJECT_ENVIRONMENT UV_NO_BINARY UV_PYTHON"
    env = {name: value for name, value in os.environ.items() if name not in drop.split()}
    for name, value in settings.items():
        if value:
            env.setdefault(KEPT[name], value.replace(" ", ",") if name == "find-links" else value)
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip does it; the hashes make it safe
    env.setdefault("UV_SYSTEM_CERTS", "true")
    if not (shutil.which("uv") and os.access(os.path.expanduser("~"), os.W_OK)):
        env.setdefault("UV_CACHE_DIR", str(ROOT / "build" / "uv-cache"))  # hard links: no disk of its own
    return {**env, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def misfit(text: str) -> str:
    """Say what wheels/ lacks, by the output of an installer, and what it was made for."""
    names = [path.name for path in sorted((ROOT / "wheels").glob("*.whl"))]
    lacks = re.search(r"([\w.-]+)==([\w.]+)", text)
    package = lacks[1].replace("-", "_").lower() if lacks else ""
    ours = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    built = [name for name in names if re.search(r"-cp\d+-cp\d+-", name)]
    shown = [name for name in names if name.lower().startswith(package + "-")]
    shown = [name for name in [*shown, *built] if name in built] or shown
    shown = [name for name in shown if f"-{ours}-" not in name] or shown
    made = "it is empty"
    if shown:
        tag, where = shown[0][:-4].split("-")[-3::2]
        made = f"{shown[0]} was made for {tag.replace('cp3', 'Python 3.')} on {where}"
    what = " ".join(lacks.groups()) if lacks else "whole set of files"
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return f"The folder wheels/ does not fit: it has no {what} for {here}; {made}."


def step(scratch: Path, what: str, command: list, env: dict[str, str]) -> None:
    """Run one step, show that it is alive, explain it when it fails."""
    log = scratch / "setup.log"
    start = said = time.time()
    with log.open("wb") as out, log.open(encoding="utf-8", errors="replace") as lines:
        command = [str(part) for part in command]
        try:
            process = subprocess.Popen(
                command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        except OSError as error:  # a folder whose programs may not run, a virus scanner
            raise SetupError(explain(what, f"{type(error).__name__}: {error}")) from None
        try:
            while process.poll() is None:
                time.sleep(0.2)
                os.utime(scratch)
                news = re.findall(r"^((?:Downloading|Prepared|Installed|Bytecode) .*)", lines.read(), re.M)
                if not news and time.time() - said > SILENCE:
                    news = [f"... {time.time() - start:.0f} s"]
                if news:
                    said = time.time()
                    print("\n".join(f"    {text}" for text in news), flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    print(
        f"{what}: {'failed' if process.returncode else 'done'} after {time.time() - start:.0f} s", flush=True
    )
    if process.returncode:
        (ROOT / "build").mkdir(exist_ok=True)
        shutil.copy(log, ROOT / "build")
        raise SetupError(explain(what, log.read_text(encoding="utf-8", errors="replace")))


def explain(what: str, text: str) -> str:
    """Turn the output of a failed step into one sentence on its cause, with its last lines below."""
    cause = next(
        (sentence for pattern, sentence in CAUSES if re.search(pattern, text)), "See its output below."
    )
    tail = "\n".join("    " + line for line in text.strip().splitlines()[-8:])
    return f"Failed while {what}. {cause}\n{tail}\n    (all of it: {Path('build', 'setup.log')})"
