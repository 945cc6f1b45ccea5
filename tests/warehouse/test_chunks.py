from tests.warehouse.frames import KEY, OTHER, Clock, closes, features, publish_bars
from warehouse import DataFile, Warehouse


def _written(warehouse: Warehouse, start: int, stop: int) -> DataFile:
    frame = features(range(start, stop))
    return warehouse.begin().write("features", KEY, frame, start=start, stop=stop, version="core@v1", codec="features")


def test_a_finished_chunk_is_found_by_its_key_in_order(warehouse: Warehouse) -> None:
    files = [_written(warehouse, 4, 8), _written(warehouse, 0, 4)]
    warehouse.finish_chunk("k", files, hashes={"f_0": "abc"})
    assert warehouse.finished_chunk("k") == files
    assert warehouse.finished_hashes("k") == {"f_0": "abc"}
    assert warehouse.finished_chunk("other") is None
    assert warehouse.finished_hashes("other") is None
    with warehouse.pin() as snapshot:
        assert snapshot.files("features", version="core@v1") == []


def test_an_interrupted_build_publishes_what_it_finds_finished(warehouse: Warehouse) -> None:
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4)], hashes={})
    commit = warehouse.begin()
    for file in warehouse.finished_chunk("k") or []:
        commit.add(file)
    assert commit.publish() == 1
    with warehouse.pin() as snapshot:
        assert snapshot.scan("features", KEY, version="core@v1").collect().equals(features(range(4)))
    assert warehouse.finished_chunk("k") is not None


def test_a_chunk_recorded_again_names_its_new_files(warehouse: Warehouse) -> None:
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4), _written(warehouse, 4, 8)], hashes={"a": "1"})
    whole = _written(warehouse, 0, 8)
    warehouse.finish_chunk("k", [whole], hashes={"a": "2"})
    assert warehouse.finished_chunk("k") == [whole]
    assert warehouse.finished_hashes("k") == {"a": "2"}


def test_chunks_may_share_a_file(warehouse: Warehouse) -> None:
    shared, last, longer = _written(warehouse, 0, 4), _written(warehouse, 4, 6), _written(warehouse, 4, 8)
    warehouse.finish_chunk("short", [shared, last], hashes={})
    warehouse.finish_chunk("long", [shared, longer], hashes={})
    assert warehouse.finished_chunk("short") == [shared, last]
    assert warehouse.finished_chunk("long") == [shared, longer]


def test_a_chunk_that_lost_a_file_must_be_computed(warehouse: Warehouse) -> None:
    file = _written(warehouse, 0, 4)
    warehouse.finish_chunk("k", [file, _written(warehouse, 4, 8)], hashes={})
    (warehouse.root / file.path).unlink()
    assert warehouse.finished_chunk("k") is None


def test_a_chunk_whose_file_left_the_table_must_be_computed(warehouse: Warehouse) -> None:
    file = _written(warehouse, 0, 4)
    warehouse.finish_chunk("k", [file], hashes={})
    commit = warehouse.begin()
    commit.add(file)
    commit.publish()
    commit = warehouse.begin()
    commit.remove(file)
    commit.publish()
    assert warehouse.finished_chunk("k") is None


def test_unpublished_chunks_live_for_the_keep_time_and_go_with_their_keys(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 2, price=5.0)
    file = _written(warehouse, 0, 4)
    warehouse.finish_chunk("k", [file], hashes={})
    clock.advance(99)
    warehouse.expire(100)
    warehouse.collect(grace_s=0)
    assert warehouse.finished_chunk("k") == [file]
    clock.advance(1)
    assert warehouse.expire(100).n_files == 1
    assert warehouse.finished_chunk("k") is None
    assert warehouse.collect(grace_s=0).n_files == 1
    assert warehouse.database.value("select count(*) from chunks") == 0
    assert not (warehouse.root / file.path).exists()
    with warehouse.pin() as snapshot:
        assert closes(snapshot) == [5.0, 5.0]


def test_unpublished_chunks_of_a_working_writer_stay(warehouse: Warehouse, clock: Clock) -> None:
    with warehouse.writing("features", KEY):
        file = _written(warehouse, 0, 4)
        warehouse.finish_chunk("k", [file], hashes={})
        clock.advance(1000)
        warehouse.expire(0)
        warehouse.collect(grace_s=0)
        assert warehouse.finished_chunk("k") == [file]
    assert warehouse.expire(0).n_files == 1


def test_units_are_found_by_fingerprint_as_long_as_their_file_can_be_published(warehouse: Warehouse) -> None:
    whole, other = _written(warehouse, 0, 4), _written(warehouse, 4, 8)
    warehouse.finish_chunk("k", [whole], hashes={}, fingerprint="as built")
    warehouse.record_fingerprint("rewritten", "k")
    warehouse.finish_chunk("no inputs known", [other], hashes={})
    found = warehouse.finished_units("features", KEY, version="core@v1")
    assert [(one.chunk_key, one.fingerprint, one.file) for one in found] == [
        ("k", "as built", whole),
        ("k", "rewritten", whole),
        ("no inputs known", None, other),
    ]
    assert warehouse.finished_units("features", OTHER, version="core@v1") == []
    (warehouse.root / whole.path).unlink()
    assert [one.file for one in warehouse.finished_units("features", KEY, version="core@v1")] == [other]


def test_superseded_units_are_returned_when_asked_for(warehouse: Warehouse) -> None:
    old, new = _written(warehouse, 0, 4), _written(warehouse, 0, 4)
    for key, file in (("old", old), ("new", new)):
        warehouse.finish_chunk(key, [file], hashes={}, fingerprint=f"of {key}")
    for added, removed in ((old, None), (new, old)):
        commit = warehouse.begin()
        commit.add(added)
        if removed is not None:
            commit.remove(removed)
        commit.publish()
    current, all_of_them = (
        warehouse.finished_units("features", KEY, version="core@v1", also_superseded=asked) for asked in (False, True)
    )
    assert [one.chunk_key for one in current] == ["new"]
    assert {one.chunk_key for one in all_of_them} == {"old", "new"}


def test_a_unit_recorded_again_forgets_its_inputs(warehouse: Warehouse) -> None:
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4)], hashes={}, fingerprint="before")
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4)], hashes={}, fingerprint="after")
    found = warehouse.finished_units("features", KEY, version="core@v1")
    assert [one.fingerprint for one in found] == ["after"]


def test_a_chunk_of_several_files_is_no_unit(warehouse: Warehouse) -> None:
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4), _written(warehouse, 4, 8)], hashes={})
    assert warehouse.finished_units("features", KEY, version="core@v1") == []


def test_fingerprints_go_with_their_files(warehouse: Warehouse) -> None:
    warehouse.finish_chunk("k", [_written(warehouse, 0, 4)], hashes={}, fingerprint="f")
    warehouse.expire(0)
    warehouse.collect(grace_s=0)
    assert warehouse.database.value("select count(*) from unit_inputs") == 0
