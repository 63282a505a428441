"""A plugin of every role, as somebody writes them who has only read docs/plugins.md."""

import io
import json
import os
import queue
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict
from scipy.optimize import linear_sum_assignment

from pipeline.errors import InputError
from pipeline.messages import Clock, Detections, Frame, Mask, Verdict


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ArraySource:
    """Plays the pictures of a file of numpy's."""

    live = False

    class Config(Strict):
        path: Path
        fps: float = 10

    def __init__(self, config):
        self.path, self.fps = config.path, config.fps
        self.closed = threading.Event()

    def frames(self):
        try:
            images = np.load(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}", "correct the path") from None
        begin = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        for index, image in enumerate(images):
            if self.closed.is_set():
                return
            at_s = index / self.fps
            yield Frame("", index, image, at_s, begin + timedelta(seconds=at_s), Clock.FILE, self.path.stem)

    def close(self):
        self.closed.set()


class LampDetector:
    """Whatever is bright and stands in columns of its own is a person."""

    class Config(Strict):
        brightness: int = 30

    def __init__(self, config):
        self.brightness = config.brightness

    def detect(self, frames):
        return [self.find(frame.image) for frame in frames]

    def find(self, image):
        lit = (image > self.brightness).any(axis=2)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], lit.any(axis=0).astype(int), [0]])))
        boxes = []
        for left, right in edges.reshape(-1, 2):
            rows = np.flatnonzero(lit[:, left:right].any(axis=1))
            if right - left >= 20:
                boxes.append((left, rows[0], right, rows[-1] + 1))
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class StraightTracker:
    """Everybody goes on as they went."""

    needs_embeddings = False

    class Config(Strict):
        forgets_s: float = 2.0

    def __init__(self, config):
        self.forgets_s = config.forgets_s
        self.reset()

    def reset(self):
        self.known = {}  # id: (box, speed of its sides, time)
        self.count = 0

    def update(self, frame, detections, embeddings):
        now_s = frame.pts_s
        self.known = {who: seen for who, seen in self.known.items() if now_s - seen[2] <= self.forgets_s}
        names, boxes = list(self.known), detections.xyxy.astype(float)
        expected = np.array([self.expected(name, now_s) for name in names]).reshape(-1, 4)
        heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1)
        apart = np.abs(expected[:, None] - boxes[None]).mean(axis=2) / heights
        ids = np.full(len(boxes), -1, np.int64)
        for row, column in zip(*linear_sum_assignment(apart), strict=True):
            if apart[row, column] < 0.5:
                ids[column] = names[row]
        for place in np.flatnonzero(ids < 0):
            ids[place], self.count = self.count, self.count + 1
        for who, box in zip(ids.tolist(), boxes, strict=True):
            self.remember(who, box, now_s)
        return ids

    def expected(self, who, now_s):
        box, speed, then_s = self.known[who]
        return box + speed * max(0.0, now_s - then_s)

    def remember(self, who, box, now_s):
        old, speed, then_s = self.known.get(who, (box, np.zeros(4), now_s))
        if now_s > then_s:
            speed = (box - old) / (now_s - then_s)
        self.known[who] = box, speed, max(now_s, then_s)


class ThirdsEmbedder:
    """The mean colours of head, chest and legs."""

    dimension = 9
    max_distance = 0.5

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def embed(self, crops):
        rows = np.array([self.look(crop) for crop in crops], np.float32).reshape(-1, 9)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def look(self, crop):
        thirds = np.array_split(crop, 3) if len(crop) >= 3 else [crop] * 3
        return np.concatenate([third.mean(axis=(0, 1)) for third in thirds]) - 127.3


class PlainIndex:
    """All of them, sorted."""

    class Config(Strict):
        pass

    def __init__(self, config):
        self.rows = np.zeros((0, 1), np.float32)

    def build(self, vectors):
        self.rows = vectors.astype(np.float32)

    def search(self, queries, k):
        if not len(self.rows):
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        distances = np.linalg.norm(queries[:, None] - self.rows[None], axis=2)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, order, axis=1), order


class CredulousVerifier:
    """Believes the distance."""

    needs_pictures = False

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def verify(self, questions):
        return [
            [
                Verdict(candidate, candidate.distance, rank=rank)
                for rank, (candidate, _) in enumerate(pairs, 1)
            ]
            for _, pairs in questions
        ]


class OvalMasker:
    """An oval in the box."""

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def mask(self, tracklets):
        return [self.oval(tracklet.crops[0].box, tracklet.scene.size) for tracklet in tracklets]

    def oval(self, box, size):
        width, height = size
        x, y = (np.arange(width) + 0.5)[:, None], (np.arange(height) + 0.5)[None]
        middle, half = (
            ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
            ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2),
        )
        inside = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 < 1
        if not inside.any():
            return None
        column_first = inside.ravel()  # x first
        changes = np.flatnonzero(np.diff(np.concatenate([[False], column_first]).astype(int)))
        runs = np.diff(np.concatenate([[0], changes, [len(column_first)]]))
        return Mask(tuple(int(run) for run in runs), (height, width))


class PillowCodec:
    """Pictures by Pillow."""

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def decode(self, data):
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise InputError(f"no picture: {error}", "give another") from None
        return np.ascontiguousarray(np.asarray(picture)[..., ::-1])

    def encode(self, image, quality=90):
        written = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image[..., ::-1])).save(written, "JPEG", quality=quality)
        return written.getvalue()

    def resize(self, image, size):
        picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
        return np.ascontiguousarray(np.asarray(picture.resize(size, Image.Resampling.BOX))[..., ::-1])


class LedgerSink:
    """A line for each event, on the disk before it returns."""

    class Config(Strict):
        path: Path

    def __init__(self, config):
        self.path = config.path

    def publish(self, events):
        with self.path.open("a", encoding="utf-8") as file:
            for event in events:
                state = event["data"].get("state")
                file.write(json.dumps([event["id"], event["subject"], state]) + "\n")
            file.flush()
            os.fsync(file.fileno())


class CorridorBus:
    """A queue."""

    in_process = True

    class Config(Strict):
        pass

    def __init__(self, config):
        self.queue = queue.Queue(100)

    def publish(self, tracklets):
        for tracklet in tracklets:
            self.queue.put(tracklet)

    def receive(self, limit, timeout_s):
        received = []
        try:
            received.append(self.queue.get(timeout=timeout_s))
            while len(received) < limit:
                received.append(self.queue.get_nowait())
        except queue.Empty:
            pass
        return received
