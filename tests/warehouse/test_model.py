"""Random histories: every snapshot that can be read always equals a model kept in plain dicts."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.warehouse.frames import KEY, Clock, bars, memory_folder, stored_files
from warehouse import DataFile, Snapshot, Warehouse

Model = dict[int, float]  # price of each piece

PIECES = st.sets(st.integers(0, 4), max_size=3)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(TemporaryDirectory(dir=memory_folder()))
        self.clock = Clock()
        self.clock.ms = 10**14  # beyond the real times of the files, so that strays have their age
        self.warehouse = self.stack.enter_context(Warehouse.open(Path(folder), create=True, now_ms=self.clock))
        self.states: dict[int, Model] = {0: {}}
        self.pins: list[tuple[Snapshot, ExitStack]] = []
        self.tagged: set[int] = set()
        self.finished: dict[str, DataFile] = {}
        self.price = 0.0

    def teardown(self) -> None:
        self.stack.close()

    @rule(written=PIECES, removed=PIECES, seconds=st.integers(0, 20))
    def commit(self, written: set[int], removed: set[int], seconds: int) -> None:
        self.clock.advance(seconds)
        commit = self.warehouse.begin()
        newest = max(self.states)
        model = dict(self.states[newest])
        with self.warehouse.pin() as snapshot:
            for file in snapshot.files("bars", KEY):
                if file.start // 2 in written | removed:
                    commit.remove(file)
                    del model[file.start // 2]
        for piece in sorted(written):
            self.price += 1
            model[piece] = self.price
            commit.write("bars", KEY, self._frame(piece), start=2 * piece, stop=2 * piece + 2)
        published = commit.publish()
        assert published == newest + (model != self.states[newest])
        self.states[published] = model

    @rule()
    def abandon(self) -> None:
        self.warehouse.begin().write("bars", KEY, self._frame(0), start=0, stop=2)

    @rule(piece=st.integers(0, 4))
    def finish_a_chunk(self, piece: int) -> None:
        self.price += 1
        file = self.warehouse.begin().write("bars", KEY, self._frame(piece), start=2 * piece, stop=2 * piece + 2)
        self.warehouse.finish_chunk(f"k{piece}", [file], hashes={})
        self.finished[f"k{piece}"] = file

    @rule()
    def pin(self) -> None:
        pin = ExitStack()
        self.pins.append((pin.enter_context(self.warehouse.pin()), pin))

    @precondition(lambda self: self.pins)
    @rule()
    def unpin(self) -> None:
        self.pins.pop(0)[1].close()

    @rule()
    def tag(self) -> None:
        self.warehouse.tag(f"t{len(self.tagged)}", max(self.states))
        self.tagged.add(max(self.states))

    @rule(keep_s=st.integers(0, 30), seconds=st.integers(0, 20))
    def expire(self, keep_s: int, seconds: int) -> None:
        self.clock.advance(seconds)
        self.warehouse._leases.beat()
        self.warehouse.expire(keep_s)
        kept = {info.id for info in self.warehouse.snapshots()}
        assert kept >= {max(self.states), *self.tagged, *(snapshot.id for snapshot, _ in self.pins)}
        self.states = {number: model for number, model in self.states.items() if number in kept}

    @rule(grace_s=st.integers(0, 30))
    def collect(self, grace_s: int) -> None:
        self.warehouse.collect(grace_s=grace_s)

    @invariant()
    def every_readable_snapshot_equals_the_model(self) -> None:
        assert {info.id for info in self.warehouse.snapshots()} == set(self.states)
        for snapshot, _ in self.pins:
            assert self._stored(snapshot) == self.states[snapshot.id]
        for number in (min(self.states), max(self.states)):
            with self.warehouse.pin(number) as snapshot:
                assert self._stored(snapshot) == self.states[number]

    @invariant()
    def every_finished_chunk_can_be_read(self) -> None:
        for key, file in self.finished.items():
            found = self.warehouse.finished_chunk(key)
            assert found is None or (found == [file] and (self.warehouse.root / file.path).is_file())

    @invariant()
    def no_row_lacks_its_file(self) -> None:
        rows = self.warehouse.database.rows("select path from files")
        assert {row["path"] for row in rows} <= stored_files(self.warehouse.root)

    def _frame(self, piece: int):
        return bars(range(2 * piece, 2 * piece + 2), self.price)

    def _stored(self, snapshot: Snapshot) -> Model:
        if not snapshot.files("bars", KEY):
            return {}
        frame = snapshot.scan("bars", KEY).collect()
        numbers = frame["open_time"].to_physical() // 3_600_000
        assert numbers.to_list() == sorted(set(numbers.to_list()))
        assert frame.height == 2 * len({number // 2 for number in numbers})
        return {number // 2: price for number, price in zip(numbers, frame["close"], strict=True)}


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
