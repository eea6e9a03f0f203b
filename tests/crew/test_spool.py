"""The spool: what could not be sent survives its process and is found by the next."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.crew.message import Message
from bridge.crew.spool import Spool
from bridge.crew.state_directory import default_directory

LEAVE = """
import os, sys
from pathlib import Path
from bridge.crew.message import Message
from bridge.crew.spool import Spool
spool = Spool.fresh(Path(sys.argv[1]))
spool.append([Message("left", "task.completed._._", b"{}", False)])
print(spool.waiting, flush=True)
if len(sys.argv) > 2:
    sys.stdin.read()
os._exit(9)
"""


def messages(*names: str) -> list[Message]:
    return [Message(name, "task.progress._._", b"{}", short_lived=True) for name in names]


def test_messages_come_back_in_their_order_and_whole(tmp_path: Path) -> None:
    spool = Spool.fresh(tmp_path)
    spool.append(messages("a", "b"))
    spool.append(messages("c"))

    place, first = spool.first(2)
    assert first == messages("a", "b")
    spool.remove(place)
    assert (spool.first(2)[1], spool.waiting) == (messages("c"), 1)
    spool.close()


def test_a_spool_that_was_not_needed_leaves_no_file(tmp_path: Path) -> None:
    Spool.fresh(tmp_path / "none").close()

    assert not (tmp_path / "none").exists()


def test_an_empty_spool_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool.fresh(tmp_path)
    spool.append(messages("a"))
    spool.remove(spool.first(1)[0])
    spool.close()

    assert not list(tmp_path.glob("*.sqlite*"))


def test_what_a_killed_process_left_is_found_by_the_next(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path)], check=False)

    (spool,) = Spool.left_behind(tmp_path)
    assert [message.event_id for message in spool.first(10)[1]] == ["left"]
    assert Spool.left_behind(tmp_path) == []
    spool.close()
    assert len(list(tmp_path.glob("*.sqlite"))) == 1


def test_what_belongs_to_a_living_process_is_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVE, str(tmp_path), "stay"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout
        living.stdout.readline()
        assert Spool.left_behind(tmp_path) == []
        living.communicate()

    (spool,) = Spool.left_behind(tmp_path)
    spool.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").write_text("not a database " * 100)

    assert Spool.left_behind(tmp_path) == []
    assert Spool.left_behind(tmp_path / "none") == []


def test_a_full_spool_says_what_it_does_not_keep(tmp_path: Path) -> None:
    spool = Spool.fresh(tmp_path, max_bytes=60)

    assert spool.append(messages("a"))
    assert not spool.append(messages("b", "c", "d"))
    assert (spool.waiting, spool.lost) == (1, 0)
    spool.close()


def test_a_disk_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool.fresh(tmp_path / "file")

    assert not spool.append(messages("a"))
    assert (spool.waiting, spool.lost) == (0, 0)


def large(count: int) -> list[Message]:
    return [Message(f"m{n}", "task.completed._._", b"x" * 2_000, short_lived=False) for n in range(count)]


def overwrite(path: Path, place: int, size: int) -> None:
    """Break a part of a file; below 0 ``place`` counts from its end."""
    with path.open("r+b") as file:
        file.seek(place if place >= 0 else path.stat().st_size + place)
        file.write(b"broken" * (size // 6))


def read_all(spool: Spool) -> list[str]:
    names = []
    while spool.waiting:
        place, some = spool.first(256)
        names += [message.event_id for message in some]
        spool.remove(place)
    return names


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("place", [2_000_000, -40_000])
def test_what_can_be_read_of_a_file_that_broke_is_published_and_the_rest_is_counted(
    tmp_path: Path, place: int, *, is_open: bool
) -> None:
    spool = Spool.fresh(tmp_path)
    assert spool.append(large(3_000))
    if not is_open:
        spool.close()
    (path,) = tmp_path.glob("*.sqlite")
    overwrite(path, place, 30_000)
    if not is_open:
        (spool,) = Spool.left_behind(tmp_path)

    read = read_all(spool)
    spool.close()
    known = spool.lost if place > 0 or is_open else 3_000 - len(read)
    assert (len(read) + known, spool.lost > 0, len(read) > 2_900) == (3_000, True, True)
    assert read == sorted(read, key=lambda name: int(name[1:]))
    assert [file.suffix for file in tmp_path.iterdir() if file.name != "guard"] == [".broken"]
    assert spool.append(messages("c"))
    assert spool.first(10)[1] == messages("c")
    spool.close()


def test_a_directory_that_cannot_be_searched_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "guard").mkdir()

    assert Spool.left_behind(tmp_path) == []


def test_a_directory_that_may_not_even_be_asked_for_is_no_error(tmp_path: Path) -> None:
    class Forbidden(type(tmp_path)):  # type: ignore[misc]  # The class is the platform's.
        def is_dir(self) -> bool:
            raise PermissionError

    assert Spool.left_behind(Forbidden(tmp_path)) == []


def test_a_file_that_its_process_removes_meanwhile_hides_no_other(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path)], check=False)
    (tmp_path / "removed.sqlite").symlink_to(tmp_path / "nowhere" / "else")

    (spool,) = Spool.left_behind(tmp_path)
    spool.close()


def test_a_forked_child_that_closes_the_file_leaves_it_to_its_parent(tmp_path: Path) -> None:
    spool = Spool.fresh(tmp_path)
    spool.append(messages("a"))
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM message')"
    child = os.fork()
    if not child:
        spool.close()
        os._exit(0)
    os.waitpid(child, 0)

    outsider = subprocess.run(
        [sys.executable, "-c", script, *map(str, tmp_path.glob("*.sqlite"))], capture_output=True, check=False
    )
    assert b"locked" in outsider.stderr
    spool.append(messages("b"))
    assert spool.first(10)[1] == messages("a", "b")
    spool.close()


def test_by_default_it_is_in_the_users_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    here = default_directory("nats://a:4222", "S")
    assert here.parent == tmp_path / "crew-bridge" / "spool"
    monkeypatch.delenv("XDG_STATE_HOME")
    there = default_directory("nats://a:4222", "S")
    assert there == Path.home() / ".local" / "state" / "crew-bridge" / "spool" / here.name


def test_by_default_what_goes_elsewhere_waits_elsewhere() -> None:
    here = default_directory("nats://a:4222,nats://b:4222", "S")

    assert here == default_directory("nats://b:4222, nats://me:secret@A:4222", "S")
    others = {default_directory("nats://a:4223", "S"), default_directory("nats://a:4222", "S2")}
    assert len({here, *others}) == 3
