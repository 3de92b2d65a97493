"""How often a run saves."""

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
