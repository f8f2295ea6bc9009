# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as a process, played by scripts that are started like an interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import is_alive

from geoseg_qgis.engine import job, process
from geoseg_qgis.engine.process import Cancelled, EngineError, ask, run

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="a script that plays the interpreter needs a line of #!"
)

Fake = Callable[..., str]

TOLD = """
import json, os, signal, subprocess, sys, time

def say(**event):
    print(json.dumps(event), flush=True)

def done(**facts):
    say(event="done", outputs={}, **facts)
"""

IDLER = """
import os, signal, sys, time
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(os.path.join(sys.argv[1], str(os.getpid())), "w"):
    pass
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """No test may leave a child, a zombie or a thread."""
    threads = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Makes a program that plays the interpreter, from what it does."""

    def make(body: str, name: str = "python") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{TOLD}\n{textwrap.dedent(body)}", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


def told_by(python: str, arguments: list[str] | None = None, **options: Any) -> list[Any]:
    """All events of a run, the last one being what it returns."""
    events: list[Any] = []
    last = run(
        python, arguments or ["predict"], on_event=events.append, is_cancelled=bool, **options
    )
    return [*events, last]


def failure_of(python: str) -> EngineError:
    with pytest.raises(EngineError) as caught:
        told_by(python)
    assert str(caught.value) == caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


def gone(*numbers: int) -> bool:
    """Whether processes that live for minutes are gone; a killed one may take a moment to go."""
    patience = time.monotonic() + 20
    while any(map(is_alive, numbers)) and time.monotonic() < patience:
        time.sleep(0.01)
    return not any(map(is_alive, numbers))


def numbers_in(folder: Path, count: int) -> list[int]:
    """Processes that have put their numbers into a folder, once there are so many."""
    while len(found := [int(each.name) for each in folder.glob("[0-9]*")]) < count:
        time.sleep(0.01)
    return found


# What is started, and how


def test_the_engine_is_started_apart_from_all_that_is_installed_beside_it(fake: Fake) -> None:
    python = fake("done(argv=sys.argv)")
    last = told_by(python, ["predict", "--model=m", "--", "-a.tif", "b.tif"])[-1]
    assert last["argv"] == [
        python, "-I", "-u", "-X", "utf8", "-m", "geoseg", "--attached",
        "predict", "--progress", "json", "--model=m", "--", "-a.tif", "b.tif",
    ]  # fmt: skip


def test_a_question_is_asked_as_it_is_and_ends_with_qgis(fake: Fake) -> None:
    python = fake("print(json.dumps(sys.argv))")
    assert ask(python, ["doctor", "--json"], is_cancelled=bool) == [
        python, "-I", "-u", "-X", "utf8", "-m", "geoseg", "--attached", "doctor", "--json",
    ]  # fmt: skip


def test_spaces_and_letters_of_any_script_are_kept_in_both_directions(fake: Fake) -> None:
    text = "Größe 面积 🛰.tif"
    python = fake(
        f"say(event='log', level='info', message=sys.argv[-1]); print({text!r}); done()",
        name="Наш python/py thon ü",
    )
    log, output, _ = told_by(python, ["predict", text], environment={"PYTHONUTF8": "1"})
    assert log["message"] == text
    assert output == {"event": "output", "text": text}


def test_bytes_that_are_no_text_do_no_harm(fake: Fake) -> None:
    output, _ = told_by(fake(r"os.write(1, b'caf\xe9\n'); done()"))
    assert output["text"] == "caf\N{REPLACEMENT CHARACTER}"


def test_additions_reach_the_engine_and_what_misleads_it_does_not(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJ_LIB", "/usr/share/proj")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    python = fake("done(variables=dict(os.environ))")
    seen = told_by(python, environment={"HTTPS_PROXY": "http://proxy:3128"})[-1]["variables"]
    assert "PROJ_LIB" not in seen
    assert seen["AWS_PROFILE"] == "mine"
    assert seen["HTTPS_PROXY"] == "http://proxy:3128"


def test_a_deleted_working_folder_does_not_matter(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, gone = fake("done(folder=os.getcwd())"), tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Path(told_by(python)[-1]["folder"]).is_dir()


def test_a_missing_home_does_not_matter(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert Path(told_by(fake("done(folder=os.getcwd())"))[-1]["folder"]).is_dir()


# What is heard


def test_events_come_in_order_and_in_the_thread_of_the_caller(fake: Fake) -> None:
    python = fake("""
        say(event="start", total=2, unit="block")
        for i in (1, 2):
            say(event="progress", done=i, total=2)
        say(event="log", level="warning", message="dark")
        done(seconds=0.5)
    """)
    threads: set[int] = set()
    events: list[Any] = []
    last = run(
        python,
        ["predict"],
        on_event=lambda event: (events.append(event), threads.add(threading.get_ident())),
        is_cancelled=bool,
    )
    assert [each["event"] for each in events] == ["start", "progress", "progress", "log"]
    assert last == {"event": "done", "outputs": {}, "seconds": 0.5}
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "line",
    ['{"event": "progress", "do', "half a sentence", "5", "[1]", '{"done": 1}', '{"event": 1}', ""],
)
def test_a_line_that_is_no_event_is_a_line_of_the_log(fake: Fake, line: str) -> None:
    output, last = told_by(fake(f"print({line!r}); done()"))
    assert output == {"event": "output", "text": line}
    assert last["event"] == "done"


def test_what_stands_on_standard_error_is_no_event_even_if_it_looks_like_one(fake: Fake) -> None:
    line = '{"event": "done", "outputs": {}}'
    python = fake(f"print({line!r}, file=sys.stderr, flush=True); sys.exit(1)")
    error = failure_of(python)
    assert line in error.log


def test_the_last_line_is_heard_without_a_line_end(fake: Fake) -> None:
    python = fake("""sys.stdout.write('{"event": "done", "outputs": {}, "seconds": 3}')""")
    assert told_by(python)[-1]["seconds"] == 3


def test_a_flood_on_standard_error_ends_well_and_its_last_lines_are_kept(fake: Fake) -> None:
    python = fake("""
        for i in range(200_000):
            print("warning number", i, file=sys.stderr)
        sys.stderr.flush()
        say(event="error", kind="internal", message="lost")
        sys.exit(1)
    """)
    heard: list[str] = []
    with pytest.raises(EngineError, match="lost") as caught:
        run(
            python,
            ["predict"],
            on_event=lambda event: heard.append(event["text"]),
            is_cancelled=bool,
        )
    assert heard == [f"warning number {i}" for i in range(200_000)]
    assert caught.value.log.splitlines() == heard[-200:]


def test_a_flood_waits_for_a_slow_caller_instead_of_filling_memory(fake: Fake) -> None:
    python = fake("""
        for i in range(200_000):
            print("warning number", i, file=sys.stderr)
        done()
    """)

    def slow_at_first(event: Any) -> None:
        if event["text"].endswith(" 0"):
            time.sleep(1)  # in which all would be read, were there no limit

    tracemalloc.start()
    try:
        run(python, ["predict"], on_event=slow_at_first, is_cancelled=bool)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000  # bytes; without a limit it is several times as much


def test_a_line_that_never_ends_is_heard_in_pieces(fake: Fake) -> None:
    heard = told_by(fake("sys.stderr.write('x' * 100_000); sys.stderr.flush(); done()"))
    pieces = [each["text"] for each in heard if each["event"] == "output"]
    assert "".join(pieces) == "x" * 100_000
    assert len(pieces) > 1


def test_two_runs_at_once_do_not_hear_each_other(fake: Fake) -> None:
    python = fake("""
        for i in range(500):
            say(event="progress", run=sys.argv[-1], done=i)
            print(sys.argv[-1], file=sys.stderr, flush=True)
        done(run=sys.argv[-1])
    """)
    heard: dict[str, list[Any]] = {}

    def one(name: str) -> None:
        heard[name] = told_by(python, ["predict", name])

    threads = [threading.Thread(target=one, args=(name,)) for name in ("first", "second")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for name, events in heard.items():
        assert {each.get("run", each.get("text")) for each in events} == {name}
        assert [each["done"] for each in events if each["event"] == "progress"] == [*range(500)]
    assert set(heard) == {"first", "second"}


# How it ends


@pytest.mark.parametrize("kind", ["user", "internal"])
def test_the_engine_says_itself_why_it_fails(fake: Fake, kind: str) -> None:
    error = failure_of(
        fake(f"""
            print("band table", file=sys.stderr, flush=True)
            say(event="log", level="warning", message="only 3 bands")
            say(event="error", kind={kind!r}, message="there is no band 7; choose 1 to 3")
            sys.exit(2)
        """)
    )
    assert error.message == "there is no band 7; choose 1 to 3"
    assert error.kind == kind
    assert {"band table", "warning: only 3 bands"} <= set(error.log.splitlines())


def test_a_failure_after_the_work_counts(fake: Fake) -> None:
    error = failure_of(
        fake("done(failed=1); say(event='error', kind='user', message='a.tif is empty')")
    )
    assert error.message == "a.tif is empty"


def test_an_engine_that_stops_in_the_middle_is_a_bug(fake: Fake) -> None:
    error = failure_of(
        fake("say(event='start'); print('no idea', file=sys.stderr, flush=True); sys.exit(7)")
    )
    assert error.kind == "internal"
    assert "ended with status 7 (no idea) before it was done; run it again" in error.message


def test_an_end_without_a_result_is_a_bug_even_with_status_0(fake: Fake) -> None:
    error = failure_of(fake('say(event=\'start\'); print(\'{"event": "done", "outp\')'))
    assert error.kind == "internal"
    assert "ended with status 0" in error.message


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "most likely because memory ran out; close other programs"),
        (signal.SIGSEGV, r"crashed \(Segmentation fault\)"),
        (signal.SIGTERM, "ended by somebody else"),
    ],
)
def test_an_engine_that_is_killed_is_told_with_a_remedy(
    fake: Fake, number: signal.Signals, words: str
) -> None:
    python = fake(f"say(event='start'); os.kill(os.getpid(), {int(number)})")
    with pytest.raises(EngineError, match=words) as caught:
        told_by(python)
    assert caught.value.kind == "killed"


def test_a_result_counts_though_the_interpreter_crashes_afterwards(fake: Fake) -> None:
    assert told_by(fake("done(); os.abort()"))[-1]["event"] == "done"


def test_a_result_counts_though_the_engine_does_not_end(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "LEAVING", 0.3)
    python = fake("done(process=os.getpid()); time.sleep(600)")
    assert gone(told_by(python)[-1]["process"])


def test_what_the_engine_leaves_behind_is_ended(fake: Fake, tmp_path: Path) -> None:
    python = fake(f"""
        child = subprocess.Popen([sys.executable, "-c", {IDLER!r}, {str(tmp_path)!r}, "stubborn"])
        while not os.path.exists(os.path.join({str(tmp_path)!r}, str(child.pid))):
            time.sleep(0.01)
        done(child=child.pid)
        sys.stdout.flush()
        os._exit(0)
    """)
    assert gone(told_by(python)[-1]["child"])


def test_what_the_engine_leaves_behind_is_ended_though_it_talks_on(fake: Fake) -> None:
    python = fake("""
        talk = "while True: print('still here', flush=True)"
        child = subprocess.Popen([sys.executable, "-c", talk])
        say(event="error", kind="user", message=str(child.pid))
        os._exit(2)
    """)
    assert gone(int(failure_of(python).message))


def test_a_daemon_that_left_the_group_is_not_waited_for(fake: Fake) -> None:
    threads = threading.active_count()
    python = fake("""
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        done(child=subprocess.Popen(sleep, start_new_session=True).pid)
        os._exit(0)
    """)
    child = told_by(python)[-1]["child"]
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)
    while threading.active_count() > threads:  # it held what they read
        time.sleep(0.01)


def test_an_error_number_of_windows_is_a_crash() -> None:
    error = process._failure("python.exe", 0xC0000005, process._Heard())
    assert error.kind == "killed"
    assert "crashed (error 0xc0000005)" in error.message


def test_on_windows_a_tool_of_the_system_ends_the_tree(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path and words, that is; the tool itself is played here."""
    told = tmp_path / "words"
    fake(f"open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))", "System32/taskkill.exe")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    group = process.ProcessGroup([fake("print(os.getpid()); time.sleep(600)")], os.environ)
    number = group.streams["stdout"].readline().strip()
    group._kill_tree()
    group.end()
    assert told.read_text() == f"/PID {number} /T /F"
    assert group.status == -signal.SIGKILL
    for stream in group.streams.values():
        stream.close()


def test_on_windows_a_job_that_ends_with_qgis_holds_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The calls, that is; the system is played here."""
    calls: list[tuple[Any, ...]] = []

    class System:
        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *told: calls.append((name, *told)) or 70

    monkeypatch.setattr(job, "_system", System)
    held = job.Job(33)
    held.close()
    held.close()
    (limits,) = [each for _, *rest in calls for each in rest if isinstance(each, bytes)]
    assert calls == [
        ("CreateJobObjectW", None, None),
        ("SetInformationJobObject", 70, 9, limits, 144),
        ("AssignProcessToJobObject", 70, 33),
        ("CloseHandle", 70),
    ]
    # LimitFlags of JOBOBJECT_EXTENDED_LIMIT_INFORMATION is JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE.
    assert limits == b"\0" * 16 + b"\0\x20\0\0" + b"\0" * 124


def test_a_command_that_is_attached_has_its_own_streams_arguments_and_status(fake: Fake) -> None:
    program = fake("""
        print(json.dumps([sys.argv[1:], sys.stdin.read()]))
        print("said", file=sys.stderr)
        sys.exit(7)
    """)
    command = process.attached([program, "a b", "$HOME", "*"])
    group = process.ProcessGroup(command, os.environ)
    told = {name: stream.read() for name, stream in group.streams.items()}
    for stream in group.streams.values():
        stream.close()
    while group.status is None:
        time.sleep(0.01)
    group.end()
    assert json.loads(told["stdout"]) == [["a b", "$HOME", "*"], ""]
    assert told["stderr"] == "said\n"
    assert group.status == 7


# Interpreters that are none


def test_an_interpreter_that_is_not_there_is_missing(tmp_path: Path) -> None:
    error = failure_of(str(tmp_path / "nowhere" / "python"))
    assert error.kind == "missing"
    assert "nowhere/python cannot be started as a Python (No such file" in error.message
    assert "choose another in the settings of geoseg" in error.message


def test_a_folder_or_a_text_is_no_interpreter(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Dear reader")
    runnable = tmp_path / "runnable"
    runnable.write_text("Dear reader")
    runnable.chmod(0o755)
    for each in (tmp_path, text, runnable):
        assert failure_of(str(each)).kind == "missing"


@pytest.mark.parametrize("status", [0, 2])
def test_another_program_is_no_interpreter(fake: Fake, status: int) -> None:
    error = failure_of(fake(f"print('usage: ls', file=sys.stderr, flush=True); sys.exit({status})"))
    assert error.kind == "missing"
    assert f"is no Python with a working geoseg: it ended with status {status}" in error.message
    assert "(usage: ls)" in error.message


def test_a_python_without_geoseg_is_missing(fake: Fake) -> None:
    # Without -S it would see what is installed for the tests.
    error = failure_of(fake("os.execv(sys.executable, [sys.executable, '-S', *sys.argv[1:]])"))
    assert error.kind == "missing"
    assert "has no geoseg; choose another in the settings of geoseg" in error.message


# Cancelling


STARTS_WORKERS = f"""
        if {{leader!r}} == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        folder = sys.argv[-1]
        for manner in ("stubborn", "tame"):
            subprocess.Popen([sys.executable, "-c", {IDLER!r}, folder, manner])
        say(event="start", process=os.getpid())
        time.sleep(600)
"""


@pytest.mark.parametrize("leader", ["tame", "stubborn"])
def test_a_cancelled_run_leaves_no_process(fake: Fake, tmp_path: Path, leader: str) -> None:
    python = fake(STARTS_WORKERS.format(leader=leader))
    folder = tmp_path / "numbers"
    folder.mkdir()
    events: list[Any] = []
    workers: list[int] = []

    def is_cancelled() -> bool:
        if events:
            workers.extend(numbers_in(folder, 2))
        return bool(events)

    with pytest.raises(Cancelled):
        run(python, ["predict", str(folder)], on_event=events.append, is_cancelled=is_cancelled)
    assert len(workers) == 2
    assert gone(events[0]["process"], *workers)


def test_a_silent_run_can_be_cancelled(fake: Fake) -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        run(fake("time.sleep(600)"), ["predict"], on_event=print, is_cancelled=is_cancelled)


def test_a_question_that_takes_long_can_be_cancelled(fake: Fake, tmp_path: Path) -> None:
    asked: list[int] = []

    def is_cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    note = tmp_path / "number"
    python = fake(f"""
        with open({str(note)!r}, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    """)
    with pytest.raises(Cancelled):
        ask(python, ["model", "info", "x"], is_cancelled=lambda: note.exists() and is_cancelled())
    assert gone(int(note.read_text()))


def test_a_run_that_floods_can_be_cancelled(fake: Fake) -> None:
    python = fake("""
        while True:
            print("again", file=sys.stderr)
    """)
    events: list[Any] = []
    with pytest.raises(Cancelled):
        run(
            python,
            ["predict"],
            on_event=events.append,
            is_cancelled=lambda: len(events) > 5000,
        )


def test_an_error_of_the_caller_ends_the_engine(fake: Fake) -> None:
    numbers: list[int] = []

    def fail(event: Any) -> None:
        numbers.append(event["process"])
        raise RuntimeError("the window is gone")

    python = fake("say(event='start', process=os.getpid()); time.sleep(600)")
    with pytest.raises(RuntimeError, match="the window is gone"):
        run(python, ["predict"], on_event=fail, is_cancelled=bool)
    assert gone(numbers[0])


def test_the_engine_hears_that_its_parent_was_killed(fake: Fake, tmp_path: Path) -> None:
    """Its standard input stays open until then, and ends then."""
    python = fake(f"""
        import select
        assert not select.select([0], [], [], 0.3)[0], "standard input ended too early"
        say(event="start")
        sys.stdin.read()
        os.rename({str(tmp_path / "begun")!r}, {str(tmp_path / "told")!r})
    """)
    body = f"""
from pathlib import Path
from geoseg_qgis.engine.process import run
started = lambda event: Path({str(tmp_path / "begun")!r}).touch()
run({python!r}, ["predict"], on_event=started, is_cancelled=bool)
"""
    root = Path(process.__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", body], cwd=root)
    while not (tmp_path / "begun").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    while not (tmp_path / "told").exists():
        time.sleep(0.01)


# Questions


def test_a_document_counts_whatever_the_status_is(fake: Fake) -> None:
    document = {"ok": False, "problems": ["no disk"]}
    python = fake(f"print(json.dumps({document!r}, indent=1)); sys.exit(2)")
    assert ask(python, ["doctor", "--json"], is_cancelled=bool) == document


def test_a_greeting_before_the_document_does_no_harm(fake: Fake) -> None:
    python = fake("print('Welcome'); print('[hint] try me'); print(json.dumps([1, 2]))")
    assert ask(python, ["model", "list", "--json"], is_cancelled=bool) == [1, 2]


def test_a_question_that_is_refused_is_told(fake: Fake) -> None:
    python = fake("print('geoseg: there is no model x', file=sys.stderr); sys.exit(2)")
    with pytest.raises(EngineError, match=r"^there is no model x$") as caught:
        ask(python, ["model", "info", "x", "--json"], is_cancelled=bool)
    assert caught.value.kind == "user"


def test_a_bug_in_an_answer_is_told_without_its_traceback(fake: Fake) -> None:
    python = fake("""
        print("geoseg: KeyError: 'a'", "Traceback", "KeyError: 'a'", sep="\\n", file=sys.stderr)
        sys.exit(1)
    """)
    with pytest.raises(EngineError, match=r"^KeyError: 'a'$") as caught:
        ask(python, ["doctor", "--json"], is_cancelled=bool)
    assert caught.value.kind == "internal"
    assert "Traceback" in caught.value.log


def test_a_question_without_an_answer_ends_in_time(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE", 1.5)
    python = fake(f"open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w'); time.sleep(600)")
    with pytest.raises(EngineError, match=r"did not answer within 1\.5 s; try again, or choose"):
        ask(python, ["doctor", "--json"], is_cancelled=bool)
    assert gone(*numbers_in(tmp_path, 1))


def test_an_answer_without_a_document_is_none(fake: Fake) -> None:
    with pytest.raises(EngineError, match=r"no Python with a working geoseg.*\(Python 2\.7\)"):
        ask(fake("print('Python 2.7')"), ["doctor", "--json"], is_cancelled=bool)


def test_a_program_that_talks_without_end_is_none(fake: Fake) -> None:
    python = fake("""
        while True:
            sys.stdout.write("y" * 100_000 + chr(10))
    """)
    with pytest.raises(EngineError, match="says more than geoseg would"):
        ask(python, ["doctor", "--json"], is_cancelled=bool)


def test_the_fakes_speak_as_the_engine_does() -> None:
    """A check of this file: events are single lines of JSON."""
    told = subprocess.run(
        [sys.executable, "-c", f"{TOLD}\ndone(seconds=1)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(told) == {"event": "done", "outputs": {}, "seconds": 1}
    assert told.count("\n") == 1
