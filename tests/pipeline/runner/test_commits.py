"""When a member commits: what no sink has yet is left to a successor, for a while."""

from pipeline.deliver.outbox import Progress
from pipeline.runner.commits import EVERY_S, STALLED_S, Commits


class Books:
    """An outbox by its two numbers."""

    def __init__(self) -> None:
        self.taken = self.confirmed = 0
        self.commits = Commits(lambda: Progress(self.taken, self.confirmed), 0.0)


def test_at_once_where_nothing_came_of_the_tracklets() -> None:
    books = Books()
    assert books.commits.due({0: 7}, EVERY_S) == {0: 7}
    assert books.commits.due({0: 9}, EVERY_S * 1.5) == {}
    assert books.commits.due({0: 9}, EVERY_S * 2) == {0: 9}


def test_as_soon_as_the_sinks_have_what_was_there_though_more_comes_all_the_time() -> None:
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7}, 1.0) == {}
    books.taken, books.confirmed = 8, 2
    assert books.commits.due({0: 20}, 2.0) == {}
    books.taken, books.confirmed = 12, 5
    assert books.commits.due({0: 30}, 3.0) == {0: 7}, "what the sinks have, and no more"
    assert books.commits.due({0: 31}, 4.0) == {}
    books.confirmed = 12
    assert books.commits.due({0: 32}, 5.0) == {0: 31}


def test_a_sink_that_takes_nothing_holds_them_up_for_a_while_only() -> None:
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7}, 1.0) == {}
    assert books.commits.due({0: 8}, STALLED_S) == {}
    assert books.commits.due({0: 9}, STALLED_S + 1.0) == {0: 7}


def test_a_partition_that_went_to_somebody_else_is_passed_over() -> None:
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7, 1: 5}, 1.0) == {}
    books.confirmed = 3
    assert books.commits.due({1: 6}, 2.0) == {1: 5}
