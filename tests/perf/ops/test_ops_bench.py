"""What `pixelis bench ops` and `pixelis tune ops` are made of."""

from __future__ import annotations

import numpy as np
import pytest

from perf.ops.judges import boundaries, lines_read, mask_overlap, region_shown
from perf.ops.ladders import Tried, choose, ladders
from perf.ops.task import Request
from perf.ops.workload import KINDS, line_requests, page_requests, repeated, scene_requests
from pixelis.operations_config import FULL, Ladder
from pixelis.schema import OperationName, OperationResult
from python_backends.visual_ops import rle


def result(**found: object) -> OperationResult:
    return OperationResult(operation=OperationName.READ_TEXT, result=found)


def test_lines_count_where_they_are_read_exactly() -> None:
    judge = lines_read(["Exit 4", "Main street"])
    assert judge(result(text="Exit  4\nMain street")) == 1.0
    assert judge(result(text="Exit 4\nMain streel")) == 0.5
    assert judge(OperationResult(operation=OperationName.READ_TEXT, error="x")) == 0.0


def test_masks_count_by_their_overlap() -> None:
    truth = np.zeros((20, 30), np.bool_)
    truth[5:15, 10:20] = True
    half = truth & (np.arange(30) < 15)
    assert mask_overlap(truth)(result(mask=rle.encode(truth))) == 1.0
    assert mask_overlap(truth)(result(mask=rle.encode(half))) == 0.5
    assert mask_overlap(truth)(result()) == 0.0


def test_boundaries_count_both_ways() -> None:
    judge = boundaries([(10, 20)])
    assert judge(result(segments=[{"start": 9, "end": 22}])) == 1.0
    assert judge(result(segments=[{"start": 10, "end": 23}])) == 0.5
    assert judge(result(segments=[{"start": 10, "end": 20}, {"start": 40, "end": 50}])) == pytest.approx(4 / 6)
    assert judge(result(segments=[])) == 0.0


def test_a_region_counts_where_it_is_the_one() -> None:
    assert region_shown([0, 0, 5, 5])(result(region=[0, 0, 5, 5])) == 1.0
    assert region_shown([0, 0, 5, 5])(result(region=[0, 0, 5, 6])) == 0.0


def test_of_a_repeated_workload_half_was_asked_before() -> None:
    requests = [Request((str(i).encode(),), ()) for i in range(40)]
    found = repeated(requests, 1)
    assert len(found) == 40
    assert sum(one.again for one in found) == 20
    seen: set[bytes] = set()
    for one in found:
        assert one.again == (one.images[0] in seen)
        seen.add(one.images[0])


def test_the_workload_has_500_operations() -> None:
    each = {"page": len(page_requests(1, 0)[0].tasks)}
    assert sum(count * each.get(kind, 1) for kind, count in KINDS.items()) == 500


def test_labels_are_those_of_their_seed_and_no_two_requests_share_a_picture() -> None:
    for make in (line_requests, page_requests, scene_requests):
        first, again, other = make(3, 0), make(3, 0), make(3, 1)
        assert [one.images for one in first] == [one.images for one in again]
        assert len({one.images for one in [*first, *other]}) == 6


def test_the_fastest_ladder_is_chosen_that_loses_no_more_than_is_allowed() -> None:
    plain = Tried(FULL, 10.0, 90.0, 0.0)
    slow, good, bad = (Tried(Ladder(), s, q, 0.0) for s, q in ((8.0, 91.0), (5.0, 89.6), (1.0, 89.0)))
    assert choose([plain, slow, good, bad], 0.5) is good
    assert choose([plain, slow, good, bad], 0.1) is slow
    assert choose([plain, bad], 0.5) is plain


@pytest.mark.parametrize("operation", [OperationName.READ_TEXT, OperationName.TRACK_OBJECT])
def test_every_ladder_that_is_tried_is_another_one(operation: OperationName) -> None:
    found = [ladder.model_dump_json() for ladder in ladders(operation)]
    assert len(found) == len(set(found)) > 5
