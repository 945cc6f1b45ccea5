import hashlib
import json
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest

from mmf.errors import DataError
from mmf.model_files import read_files, write_files

OLD = {"a.json": b"{}", "weights.bin": b"\x00\x01" * 50}
NEW = {"weights.bin": b"\x00\x01" * 50, "more.bin": b"1"}


@pytest.fixture
def folder(tmp_path):
    write_files(tmp_path / "model", OLD)
    return tmp_path / "model"


def rewrite_manifest(folder, **changes):
    """Alter the manifest and give it a checksum that fits, as someone with intent would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    del manifest["sha256"]
    manifest |= changes
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, indent=1).encode()).hexdigest()
    path.write_text(json.dumps(manifest | {"sha256": digest}))


def stored(folder, stem):
    (path,) = folder.glob(f"{stem}.*.*")
    return path


def test_round_trip(folder):
    assert read_files(folder) == OLD


def test_a_new_model_replaces_the_old_one_and_leaves_nothing_of_it(folder):
    write_files(folder, NEW)
    assert read_files(folder) == NEW
    assert len(list(folder.iterdir())) == len(NEW) + 1


def test_writing_the_same_again_changes_nothing(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_files(folder, OLD)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_until_its_manifest_is_there_a_new_model_does_not_count(folder, tmp_path):
    write_files(tmp_path / "other", NEW)
    for path in (tmp_path / "other").iterdir():
        if path.name != "manifest.json":
            path.rename(folder / path.name)
    (folder / "manifest.json.tmp").write_bytes(b"{")
    (folder / "more.0123456789abcdef.bin.tmp").write_bytes(b"half")
    assert read_files(folder) == OLD
    write_files(folder, OLD)
    assert len(list(folder.iterdir())) == len(OLD) + 1


KILLED_WRITER = """
import os, pathlib, signal, sys
from mmf.model_files import write_files

left = int(sys.argv[2])

def kill_at_last(frame, event, argument):
    global left
    if event == "line" and frame.f_code.co_name in ("write_files", "_write"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return kill_at_last

sys.settrace(kill_at_last)
write_files(pathlib.Path(sys.argv[1]), eval(sys.argv[3]))
"""


def test_a_kill_at_any_line_leaves_one_model_or_the_other(folder):
    seen, n_steps, code = [], 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        write_files(folder, OLD)
        command = [sys.executable, "-c", KILLED_WRITER, str(folder), str(n_steps), repr(NEW)]
        code = subprocess.run(command, check=False).returncode
        seen.append(read_files(folder))
        n_steps += 1
    assert code == 0
    assert n_steps > 40
    assert seen == sorted(seen, key=lambda files: files == NEW)  # the old one up to a line, then the new one
    assert seen[0] == OLD
    assert seen[-2] == seen[-1] == NEW


@pytest.mark.parametrize("place", [0, 40, 99])
def test_a_flipped_byte_is_found(folder, place):
    path = stored(folder, "weights")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"weights\..*was altered"):
        read_files(folder)


def test_a_file_cut_off_is_found(folder):
    path = stored(folder, "weights")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="has 60 bytes, expected 100"):
        read_files(folder)


def test_swapped_files_are_found(folder):
    one, other = stored(folder, "a"), stored(folder, "weights")
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    with pytest.raises(DataError, match="expected"):
        read_files(folder)


def test_an_absent_file_is_named(folder):
    stored(folder, "weights").unlink()
    with pytest.raises(DataError, match=r"weights\..* is absent, though the manifest names it"):
        read_files(folder)


@pytest.mark.parametrize("name", ["model.pkl", "weights.bin", "expert.joblib", "subfolder"])
def test_a_foreign_file_is_refused_on_reading_and_left_alone_on_writing(folder, name):
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match=f"holds '{name}', which is no file of a model"):
        read_files(folder)
    with pytest.raises(DataError, match="which is no file of a model"):
        write_files(folder, NEW)
    assert (folder / name).exists()


def test_every_flipped_byte_of_the_manifest_is_found(folder):
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        altered = bytearray(whole)
        altered[place] ^= 2
        path.write_bytes(altered)
        with pytest.raises(DataError):
            read_files(folder)


def test_no_model(tmp_path):
    with pytest.raises(DataError, match=r"there is no model in .*Run: mmf train"):
        read_files(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": 1}', '{"sha256": "x", "files": [], "packages": {}}'])
def test_a_manifest_that_is_none_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="not a model's manifest"):
        read_files(folder)


def test_another_format_is_refused(folder):
    rewrite_manifest(folder, format=2)
    with pytest.raises(DataError, match="is of format 2, this MMF reads format 1"):
        read_files(folder)


def test_another_scikit_learn_is_refused_with_both_versions(folder):
    rewrite_manifest(folder, packages={"scikit-learn": "1.2.3"})
    with pytest.raises(DataError, match=f"with scikit-learn 1.2.3, this is {version('scikit-learn')}"):
        read_files(folder)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd.txt", "a/b.json", "a.tar.gz", "A.json", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder, name):
    entry = {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2}
    rewrite_manifest(folder, files={name: entry})
    with pytest.raises(DataError, match="names a file that is not a model's"):
        read_files(folder)


def test_a_checksum_that_leads_out_of_the_folder_is_refused(folder):
    rewrite_manifest(folder, files={"a.json": {"sha256": "../../../etc/x", "bytes": 2}})
    with pytest.raises(DataError, match="names a file that is not a model's"):
        read_files(folder)


def test_unaltered_after_rewriting_nothing(folder):
    rewrite_manifest(folder)
    assert read_files(folder) == OLD
