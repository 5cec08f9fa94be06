"""`RecentMap`: what is used stays, what is not gives way, and its size has a bound in bytes."""

import random
import threading

from xwms_auth._core.base.memory import expiring
from xwms_auth._core.base.memory.expiring import RecentMap

SIZE = 100


def filled(entries: int, *, room_for: int) -> RecentMap[int]:
    recent: RecentMap[int] = RecentMap(room_for * SIZE)
    for number in range(entries):
        recent.put(str(number), number, size=SIZE)
    return recent


def test_what_is_used_outlives_what_is_not():
    recent = filled(0, room_for=100)
    for number in range(10_000):
        recent.put(str(number), number, size=SIZE)
        assert recent.get("0") == 0, number
    assert recent.get("1") is None


def test_it_stays_within_its_bytes_and_holds_at_least_half_of_them():
    recent = filled(0, room_for=100)
    for number in range(1_000):
        recent.put(str(number), number, size=SIZE)
        assert recent.bytes <= 100 * SIZE
        newest = range(max(0, number - 49), number + 1)
        assert [key for key, _ in recent.items() if int(key) in newest] == [str(one) for one in newest]


def test_large_entries_count_more_than_small_ones():
    recent: RecentMap[int] = RecentMap(10_000)
    for number in range(100):
        recent.put(str(number), number, size=1_000)
    assert len(recent.items()) <= 10


def test_a_value_is_replaced_and_removed_wherever_it_is():
    for entries in (1, 60, 80):  # "0" is young, or old
        recent = filled(entries, room_for=100)
        recent.put("0", -1, size=SIZE)
        assert recent.get("0") == -1
        assert recent.bytes == entries * SIZE == len(recent.items()) * SIZE
        recent.remove("0")
        assert recent.get("0") is None
        assert recent.bytes == (entries - 1) * SIZE


def test_the_budget_of_all_maps_takes_its_oldest(monkeypatch):
    monkeypatch.setattr(expiring, "_budget", expiring._Budget())
    monkeypatch.setattr(expiring, "MAX_BYTES", 100 * SIZE)
    recent = filled(128, room_for=1_000)
    assert recent.bytes <= 100 * SIZE
    assert recent.get("127") == 127
    assert recent.get("0") is None


def test_threads_leave_its_count_of_bytes_right():
    recent: RecentMap[int] = RecentMap(50 * SIZE)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(3_000):
            key = str(dice.randrange(100))
            action = dice.randrange(3)
            if action == 0:
                recent.put(key, int(key), size=SIZE)
            elif action == 1:
                recent.remove(key)
            else:
                assert recent.get(key) in (None, int(key))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key for key, _ in recent.items()]
    assert len(set(keys)) == len(keys)
    assert recent.bytes == len(keys) * SIZE


def test_the_oldest_give_way_and_more_than_there_are_may_be_asked_for():
    recent = filled(3, room_for=100)
    recent.remove_oldest(1)
    assert [key for key, _ in recent.items()] == ["1", "2"]
    recent.remove_oldest(10)
    assert (recent.items(), recent.bytes) == ([], 0)
