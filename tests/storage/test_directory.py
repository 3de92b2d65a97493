"""How often a run saves."""

from itertools import pairwise

from flowlab.storage.directory import Cadence


def test_a_costly_save_takes_no_more_than_its_share_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("flowlab.storage.directory.time.monotonic", lambda: now[0])
    cadence, saved = Cadence(1.0, share=0.01), []

    def save():
        saved.append(now[0])
        now[0] += 0.5

    while now[0] < 500:
        now[0] += 0.25
        cadence(save)
    assert saved[0] == 1.0
    assert 0.5 * len(saved) <= 0.0101 * now[0]
    assert len(saved) >= 9


def test_a_save_that_was_held_up_once_does_not_put_off_the_next(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("flowlab.storage.directory.time.monotonic", lambda: now[0])
    cadence, saved = Cadence(1.0, share=0.04), []

    def save():
        saved.append(now[0])
        now[0] += 5.0 if len(saved) == 4 else 0.01

    while now[0] < 200:
        now[0] += 0.25
        cadence(save)
    waited = [later - earlier for earlier, later in pairwise(saved)]
    assert max(waited) < 5.0 + 1.3 and len(saved) > 100
