"""The stages in one loop, without threads, queues or clocks: for tests and for replaying recordings."""

from collections.abc import Iterable

from pipeline.follow.detect import DetectStage
from pipeline.follow.follow import TrackStage
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import EndReason, Frame, Hit, StreamEnd


def run_inline(
    frames: Iterable[Frame | StreamEnd], detect: DetectStage, track: TrackStage, identify: IdentifyStage
) -> list[Hit]:
    """Hits of frames that name their stream and epoch, in order; streams not ended by then end here.

    The watchlist is what `identify` was last given. A threaded run of the same recordings gives the same hits:
    within a stream in the same order, between streams in any.
    """
    hits: list[Hit] = []
    open_streams: dict[str, None] = {}

    def pass_on(item: Frame | StreamEnd) -> None:
        hits.extend(identify.on_batch(list(track.on_batch(list(detect.on_batch([item]))))))

    for item in frames:
        pass_on(item)
        if isinstance(item, StreamEnd):
            open_streams.pop(item.stream_id, None)
        else:
            open_streams[item.stream_id] = None
    for stream_id in open_streams:
        pass_on(StreamEnd(stream_id, EndReason.TRACK_ENDED))
    return hits
