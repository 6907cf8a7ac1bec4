"""The window of unreceipted events: gaps, order, bounds, reconnects."""

from __future__ import annotations

import random

from cloud_bridge.resend import Echo, Window
from tests.unit.bridge.samples import event


def due(window: Window, now_s: float) -> list[tuple[int, bool]]:
    return [(publication.event.seq, publication.replay) for publication in window.take_due(now_s)]


def test_an_event_is_sent_at_once_then_after_the_gaps_for_ever() -> None:
    window = Window()
    assert window.admit(event(1), 0.0, replay=False)
    assert due(window, 0.0) == [(1, False)]
    now_s = 0.0
    for gap_s in (2, 4, 8, 16, 30, 30, 30):
        assert due(window, now_s) == []
        window.landed("e1", now_s)
        assert window.next_due_s() == now_s + gap_s
        assert due(window, now_s + gap_s - 0.01) == []
        now_s += gap_s
        assert due(window, now_s) == [(1, True)]


def test_nothing_is_sent_twice_while_the_broker_has_not_answered() -> None:
    window = Window()
    window.admit(event(1), 0.0, replay=False)
    window.take_due(0.0)
    assert due(window, 1000.0) == [] and window.next_due_s() is None


def test_a_receipt_ends_it_also_before_the_brokers_answer() -> None:
    window = Window()
    window.admit(event(1), 0.0, replay=False)
    window.take_due(0.0)
    window.receipted(["e1", "never heard of"])
    window.landed("e1", 0.0)
    assert len(window) == 0 and window.next_due_s() is None


def test_a_reconnect_makes_everything_due_in_order_as_replay() -> None:
    window = Window()
    for seq in (1, 2, 3):
        window.admit(event(seq), 0.0, replay=False)
    window.take_due(0.0)
    window.landed("e2", 0.0)
    window.receipted(["e1"])
    window.reconnected(0.5)
    assert due(window, 0.5) == [(2, True), (3, True)]


def test_the_window_is_bounded_and_admits_each_once_in_order() -> None:
    window = Window(size=2)
    assert window.admit(event(1), 0.0, replay=False)
    assert not window.admit(event(1), 0.0, replay=False)
    assert window.admit(event(5), 0.0, replay=True)
    assert not window.admit(event(6), 0.0, replay=False) and window.room == 0
    window.receipted(["e1"])
    assert not window.admit(event(4), 0.0, replay=False), "older than what went before"
    assert window.admit(event(6), 0.0, replay=False)


def test_every_event_is_sent_until_receipted_whatever_is_lost() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        window, now_s, heard = Window(size=8), 0.0, set()
        waiting = [event(seq) for seq in range(1, 40)]
        for _ in range(5000):
            while waiting and window.admit(waiting[0], now_s, replay=False):
                waiting.pop(0)
            for publication in window.take_due(now_s):
                if rng.random() < 0.5:
                    window.landed(publication.event.event_id, now_s)
                    if rng.random() < 0.5:
                        heard.add(publication.event.seq)
                        window.receipted([publication.event.event_id])
            if rng.random() < 0.1:
                window.reconnected(now_s)
            now_s += rng.random() * 5
            assert len(window) <= 8
            if not waiting and not len(window):
                break
        assert heard == set(range(1, 40)), f"seed {seed}"


def test_the_echo_must_be_ours_and_move() -> None:
    echo = Echo("boot", still_s=25.0)
    assert not echo.moving("other", 5, 0.0)
    assert echo.moving("boot", 5, 0.0)
    assert echo.moving("boot", 5, 20.0), "two clocks jitter"
    assert echo.moved_s == 0.0, "but it was heard no later than that"
    assert not echo.moving("boot", 5, 30.0), "stuck"
    assert not echo.moving("boot", 4, 31.0), "an old message"
    assert echo.moving("boot", 6, 32.0)
