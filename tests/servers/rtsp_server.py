"""An RTSP server with faults on command, run by the system's Python.

    python3 rtsp_server.py [--port P] [--user U --password P] [--once] NAME=CLIP.mp4...

Serves every clip (H.264 or H.265 in MP4, never coded again) at /NAME, at its own rate, in a loop or once.
Prints `READY PORT`, then obeys lines on standard input, each answered by `ok`: `stall` (pictures stop, the
connection stays), `resume`, `corrupt SHARE` (of the pictures), `switch NAME CLIP`. Ends with its input.
"""

import argparse
import random
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
LATE_NS = Gst.SECOND // 2


class Clip:
    """The coded pictures of a file, in decoding order, with their times from 0."""

    def __init__(self, path):
        with open(path, "rb") as file:
            content = file.read()
        self.codec = "h265" if b"hvc1" in content or b"hev1" in content else "h264"
        pipeline = Gst.parse_launch(
            f'filesrc location="{path}" ! qtdemux ! {self.codec}parse config-interval=-1 ! '
            f"video/x-{self.codec},stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
        )
        pipeline.set_state(Gst.State.PLAYING)
        self.units = []
        while (sample := pipeline.get_by_name("out").emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            dts = buffer.pts if buffer.dts == Gst.CLOCK_TIME_NONE else buffer.dts
            self.units.append((buffer.extract_dup(0, buffer.get_size()), buffer.pts, dts))
        pipeline.set_state(Gst.State.NULL)
        if not self.units:
            raise SystemExit(f"{path}: no {self.codec} pictures")
        first = min(dts for _, _, dts in self.units)
        step = (self.units[-1][2] - first) // max(len(self.units) - 1, 1) or Gst.SECOND // 25
        self.units = [(data, pts - first, dts - first) for data, pts, dts in self.units]
        self.duration = step * len(self.units)


class Faults:
    """What is wrong with all streams at present."""

    stalled = False
    corrupt = 0.0


class Looped(GstRtspServer.RTSPMediaFactory):
    """Serves one clip; everybody sees the same moment of it."""

    def __init__(self, clip, once):
        super().__init__()
        self.clip, self.once = clip, once
        self.set_shared(True)

    def do_create_element(self, _url):
        codec = self.clip.codec
        return Gst.parse_launch(
            "( appsrc name=source is-live=true format=time block=true max-bytes=4000000 "
            f'caps="video/x-{codec},stream-format=byte-stream,alignment=au" ! {codec}parse ! '
            f"rtp{codec}pay name=pay0 pt=96 config-interval=0 )"
        )

    def do_configure(self, media):
        gone = threading.Event()
        media.connect("unprepared", lambda _: gone.set())
        source = media.get_element().get_by_name("source")
        threading.Thread(target=self.feed, args=(source, gone), daemon=True).start()

    def feed(self, source, gone):
        """Pushes the pictures when they are due, until nobody looks."""
        while (clock := source.get_clock()) is None and not gone.wait(0.005):
            pass
        clip, position, start = self.clip, 0, None
        while not gone.is_set():
            if clip is not self.clip or position == len(clip.units):
                if self.once and clip is self.clip:
                    source.emit("end-of-stream")
                    return
                start += (
                    clip.duration if clip is self.clip else clip.units[position - 1][2] + Gst.SECOND // 25
                )
                clip, position = self.clip, 0
            if Faults.stalled:
                time.sleep(0.01)
                continue
            data, pts, dts = clip.units[position]
            position += 1
            now = clock.get_time() - source.get_base_time()
            if start is None or now - start - dts > LATE_NS:  # behind a stall: no burst
                start = now - dts
            time.sleep(max(0, start + dts - now) / Gst.SECOND)
            buffer = Gst.Buffer.new_wrapped(damaged(data))
            buffer.pts, buffer.dts = start + pts, start + dts
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return


def damaged(data):
    """The picture, or with the share of `Faults.corrupt` one with every 400th byte or so overwritten."""
    if random.random() >= Faults.corrupt:
        return data
    broken = bytearray(data)
    for _ in range(max(1, len(broken) // 400)):
        broken[random.randrange(min(64, len(broken) - 1), len(broken))] = random.randrange(256)
    return bytes(broken)


def protect(server, factories, user, password):
    """Lets nobody in without this name and password."""
    role = "viewer"
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(role, "media.factory.access", True)
    permissions.add_permission_for_role(role, "media.factory.construct", True)
    for factory in factories:
        factory.set_permissions(permissions)


def obey(factories, main_loop):
    """Carries out the lines on standard input."""
    for line in sys.stdin:
        command, *values = line.split()
        if command in ("stall", "resume"):
            Faults.stalled = command == "stall"
        elif command == "corrupt":
            Faults.corrupt = float(values[0])
        elif command == "switch":
            factories[values[0]].clip = Clip(values[1])
        print("ok", flush=True)
    main_loop.quit()


def main():
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("clips", nargs="+", metavar="NAME=CLIP")
    options = parser.parse_args()
    clips = dict(clip.split("=", 1) for clip in options.clips)
    factories = {name: Looped(Clip(path), options.once) for name, path in clips.items()}
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    for name, factory in factories.items():
        server.get_mount_points().add_factory(f"/{name}", factory)
    if options.user:
        protect(server, factories.values(), options.user, options.password)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is taken")
    main_loop = GLib.MainLoop()
    threading.Thread(target=obey, args=(factories, main_loop), daemon=True).start()
    print("READY", server.get_bound_port(), flush=True)
    main_loop.run()


if __name__ == "__main__":
    main()
