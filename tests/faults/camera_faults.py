"""Cameras and the network before them: what RTSP streams meet."""

import time

from tests.faults.faults import Dice, fault
from tests.faults.site import HURT, USER, Site
from tests.servers.packets import dropped


def _down(site: Site) -> bool:
    return any(f"stream {HURT}" in problem for problem in site.problems())


def _wait_until_down(site: Site) -> None:
    site.wait(lambda: _down(site), "the stream is seen to be down", 30)


@fault("rtsp")
def camera_killed(site: Site, dice: Dice) -> None:
    site.camera.kill()
    _wait_until_down(site)
    time.sleep(dice.seconds(0, 5))
    site.camera.start()


@fault("rtsp")
def camera_stalled(site: Site, dice: Dice) -> None:
    site.camera.stall()
    _wait_until_down(site)
    time.sleep(dice.seconds(0, 3))
    site.camera.resume()


@fault("rtsp")
def camera_frozen(site: Site, dice: Dice) -> None:
    site.camera.freeze()
    try:
        _wait_until_down(site)
        time.sleep(dice.seconds(0, 3))
    finally:
        site.camera.thaw()


@fault("rtsp")
def pictures_corrupt(site: Site, dice: Dice) -> None:
    site.camera.corrupt(0.2)
    time.sleep(dice.seconds(3, 8))
    site.camera.corrupt(0.0)


@fault("rtsp")
def framing_damaged(site: Site, dice: Dice) -> None:
    site.network.damage = 0.2
    time.sleep(dice.seconds(3, 8))
    site.network.damage = 0.0


@fault("rtsp")
def connection_reset(site: Site, dice: Dice) -> None:
    time.sleep(dice.seconds(0, 1))
    site.network.reset()
    _wait_until_down(site)


@fault("rtsp")
def link_slow(site: Site, dice: Dice) -> None:
    site.network.bytes_per_s = 2_000  # a third of what the camera sends
    time.sleep(dice.seconds(4, 8))
    site.network.bytes_per_s = None


@fault("rtsp", "root", "iptables")
def link_half_open(site: Site, dice: Dice) -> None:
    with dropped("-p", "tcp", "--dport", str(site.network.port)):
        _wait_until_down(site)
        time.sleep(dice.seconds(0, 3))


@fault("rtsp")
def resolution_switched(site: Site, dice: Dice) -> None:
    site.camera.switch("cam", site.clips["large"])
    time.sleep(dice.seconds(3, 5))
    site.camera.switch("cam", site.clips["small"])


@fault("rtsp")
def camera_down_at_start(site: Site, dice: Dice) -> None:
    site.camera.stop()
    _wait_until_down(site)
    site.door_from(open_s=4.0)
    site.wait(lambda: f"info stream {HURT}: added" in "\n".join(site.log()[-5:]), "reloaded")
    time.sleep(dice.seconds(1, 4))
    site.camera.start()


@fault("rtsp")
def password_wrong(site: Site, dice: Dice) -> None:
    site.door_from(site.guarded.url("cam", user=USER, password="wr0ng-pass"))
    site.wait(lambda: any("401" in line for line in site.log()[-10:]), "refused")
    time.sleep(dice.seconds(0, 2))
    assert not any("wr0ng-pass" in line for line in site.log()), "a password in the log"
    site.door_from()


@fault("rtsp")
def pictures_in_h265(site: Site, dice: Dice) -> None:
    site.door_from(site.camera.url("h265"))
    site.wait(site.flows(HURT), "H.265 flows")
    time.sleep(dice.seconds(1, 3))
    site.door_from()


@fault("rtsp", "root", "iptables")
def packets_lost(site: Site, dice: Dice) -> None:
    """2 % of all UDP datagrams to where RTP goes."""
    site.door_from(site.camera.url("cam"), transport="udp")
    site.wait(site.flows(HURT), "UDP flows")
    with dropped("-p", "udp", "--dport", "5000:65535", "-m", "statistic", "--mode", "random",
                 "--probability", "0.02"):  # fmt: skip
        time.sleep(dice.seconds(3, 8))
        site.wait(site.flows(HURT), "frames in spite of lost packets")
    site.door_from()
