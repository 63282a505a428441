"""The MQTT sink against a real broker: down, killed under load, frozen, with a login, with TLS."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline import build, registry
from pipeline.config import parse_config
from pipeline.deliver.forms import Form, projected
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.relay import Relay
from pipeline.desk.check import check
from pipeline.errors import BackpressureError, ConfigError, OutsideError, RefusedError
from pipeline.settings import choose
from pipeline.testing import contracts
from tests.servers.mosquitto import PASSWORD, USER, Listener, Mosquitto
from tests.servers.wait import wait_until
from tests.support.hit_events import hit_event

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")

TOPIC = "musewatch/door"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@contextmanager
def mqtt(url: str, **settings: Any) -> Iterator[Any]:
    keys = {"url": url, "timeout_s": 2, **({} if "prefix" in settings else {"topic": TOPIC}), **settings}
    sink = registry.build("sink", choose("mqtt", **keys), Path(), "sinks.0")
    try:
        yield sink
    finally:
        sink.close()


def patiently(true: Callable[[], object]) -> None:
    """Waits longer than one reconnection takes."""
    for _ in range(4):
        with suppress(AssertionError):
            return wait_until(true)
    wait_until(true)


def ids(listener: Listener, topic: str = TOPIC) -> list[str]:
    return [json.loads(payload)["id"] for payload in listener.payloads(topic)]


class TestOurs(contracts.SinkContract):
    @pytest.fixture
    def listener(self, broker: Mosquitto) -> Iterator[Listener]:
        with broker.listening(TOPIC) as listener:
            yield listener

    @pytest.fixture
    def sink(self, broker: Mosquitto, listener: Listener) -> Iterator[Any]:
        with mqtt(broker.url) as sink:
            yield sink

    @pytest.fixture
    def arrived(self, sink: Any, listener: Listener) -> Callable[[], Sequence[str]]:
        def look() -> Sequence[str]:
            sink.publish([{**hit_event(), "id": "last"}])
            wait_until(lambda: "last" in ids(listener))
            return [id_ for id_ in ids(listener) if id_ != "last"]

        return look


@pytest.mark.parametrize(
    ("form", "content_type"), [(None, "application/cloudevents+json"), ("onvif", "application/xml")]
)
def test_topic_and_content_type_follow_the_hit_and_its_form(
    broker: Mosquitto, form: str | None, content_type: str
) -> None:
    with broker.listening("site/#") as listener, mqtt(broker.url, topic="site/{site}/{stream}") as sink:
        made = (
            sink
            if form is None
            else projected(sink, Form(registry.build("projection", choose(form), Path(), "as"), form))
        )
        made.publish([hit_event(stream="yard")])
        wait_until(lambda: listener.heard)
    assert listener.heard[0][0] == "site/north-hall/yard"
    assert listener.content_types == [content_type]


def test_an_old_broker_is_spoken_to_in_3_1_1(broker: Mosquitto) -> None:
    with broker.listening(TOPIC) as listener, mqtt(broker.url, protocol="3.1.1") as sink:
        sink.publish([hit_event()])
        wait_until(lambda: ids(listener) == ["h1-1"])


def test_killed_and_back_under_load_nothing_is_lost(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", ("mqtt",))
    everything = [hit_event(number=number) for number in range(300)]
    with Mosquitto(tmp_path) as broker, broker.listening(TOPIC) as listener, mqtt(broker.url) as sink:
        relay, now_s = Relay(outbox, sink, "mqtt", batch=32), 0.0
        for cut in range(0, 300, 100):
            outbox.append(everything[cut : cut + 50])
            now_s = delivered(relay, now_s)
            patiently(lambda last=everything[cut + 49]["id"]: last in ids(listener))
            broker.freeze()
            outbox.append(everything[cut + 50 : cut + 100])
            killer = threading.Timer(0.2, broker.kill)
            killer.start()
            now_s = relay.step(now_s)  # written to it, and acknowledged by nobody
            killer.join()
            assert relay.failing is not None
            assert outbox.waiting() == 50
            broker.start()
            patiently(listener.subscribed.is_set)
        delivered(relay, now_s)
        patiently(lambda: len(set(ids(listener))) == 300)
    assert list(dict.fromkeys(ids(listener))) == [event["id"] for event in everything], (
        "in order, repeats dropped"
    )
    outbox.close()


def delivered(relay: Relay, now_s: float) -> float:
    """When all of it is, by the relay's own clock."""
    for _ in range(100):
        now_s = relay.step(now_s)
        if relay.idle:
            return now_s
    raise AssertionError(relay.failing)


def test_what_was_refused_while_away_is_not_sent_by_itself_later(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, mqtt(broker.url) as sink:
        sink.publish([hit_event()])
        broker.kill()
        with pytest.raises(OutsideError):
            sink.publish([hit_event(number=2)])
        broker.start()
        with broker.listening(TOPIC) as listener:
            sink.publish([hit_event(number=3)])
            wait_until(lambda: ids(listener))
            sink.publish([hit_event(number=4)])
            wait_until(lambda: len(ids(listener)) == 2)
    assert ids(listener) == ["h3-1", "h4-1"]


def test_a_frozen_broker_costs_no_more_than_the_time_that_it_may_take(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, mqtt(broker.url, timeout_s=1) as sink:
        sink.publish([hit_event()])
        broker.freeze()
        with pytest.raises(BackpressureError, match="topic musewatch/door: no answer within 1 s"):
            sink.publish([hit_event(number=2)])
        with pytest.raises(OutsideError, match=r"no answer within 1 s\. is this an MQTT broker\?"):
            sink.publish([hit_event(number=2)])
        broker.thaw()
        with broker.listening(TOPIC) as listener:
            sink.publish([hit_event(number=3)])
            wait_until(lambda: "h3-1" in ids(listener))


REFUSALS = [
    ({"port": "login"}, "refuses us: Not authorized. give username and password"),
    ({"port": "login", "username": USER, "password": "hunter2"}, "Not authorized. see username and password"),
    ({"port": "tls", "scheme": "mqtts"}, "we do not trust its certificate"),
    ({"port": "tls"}, "it hangs up without a word. it speaks TLS at this port"),
    ({"port": "plain", "scheme": "mqtts"}, "it speaks no TLS at this port"),
    ({"port": "none"}, "nobody answers at this port"),
    ({"host": "nowhere.invalid"}, "nowhere.invalid has no address here"),
]


@pytest.mark.parametrize(("how", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_check_says_on_which_side_it_lies(
    broker: Mosquitto, tmp_path: Path, how: dict[str, str], said: str
) -> None:
    ports = {"login": broker.login_port, "tls": broker.tls_port, "plain": broker.port, "none": 9}
    address = f"{how.get('host', '127.0.0.1')}:{ports[how.get('port', 'plain')]}"
    keys = {key: how[key] for key in ("username", "password") if key in how}
    sink = {
        "use": "mqtt",
        "url": f"{how.get('scheme', 'mqtt')}://{address}",
        "topic": TOPIC,
        "timeout_s": 2,
        **keys,
    }
    problems = check(parse_config({"version": 1, "sinks": [sink]}, tmp_path, "c.yaml")).problems
    (problem,) = [problem for problem in problems if problem.where == "sinks.0"]
    assert said in f"{problem.problem}. {problem.fix}"
    assert address in problem.problem
    assert "hunter2" not in repr(problem)


def test_check_is_content_where_all_is_well_and_leaves_no_trace(broker: Mosquitto, tmp_path: Path) -> None:
    sink = {"use": "mqtt", "url": broker.url, "prefix": "untouched", "as": "frigate"}
    with broker.listening("untouched/#") as listener:
        problems = check(parse_config({"version": 1, "sinks": [sink]}, tmp_path, "c.yaml")).problems
        assert not [problem for problem in problems if problem.where == "sinks.0"]
        with mqtt(broker.url, topic="untouched/mark") as mark:
            mark.publish([hit_event()])
        wait_until(lambda: listener.heard)
    assert [topic for topic, _, _ in listener.heard] == ["untouched/mark"]


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("mqtt://127.0.0.1:{login}", {"username": USER, "password": PASSWORD}),
        (f"mqtt://{USER}:wonder%2Fland%401@127.0.0.1:{{login}}", {}),
        ("mqtts://127.0.0.1:{tls}", {"tls": {"ca": "{certificate}"}}),
    ],
    ids=["keys", "url", "tls"],
)
def test_logins_and_tls(broker: Mosquitto, url: str, keys: dict[str, Any]) -> None:
    if "tls" in keys:
        keys = {"tls": {"ca": str(broker.certificate)}}
    address = url.format(login=broker.login_port, tls=broker.tls_port)
    with broker.listening("allowed/x") as listener, mqtt(address, topic="allowed/x", **keys) as sink:
        sink.publish([hit_event()])
        wait_until(lambda: ids(listener, "allowed/x") == ["h1-1"])


def test_a_topic_that_we_may_not_write_to_is_no_delivery(broker: Mosquitto) -> None:
    url = f"mqtt://127.0.0.1:{broker.login_port}"
    with mqtt(url, topic="forbidden", username=USER, password=PASSWORD) as sink:
        with pytest.raises(
            OutsideError, match=r"topic forbidden: Not authorized\. may this user write"
        ) as said:
            sink.publish([hit_event()])
        assert not isinstance(said.value, RefusedError)


def test_what_is_too_large_for_the_broker_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "max_packet_size 3000") as broker, mqtt(broker.url) as sink:
        with pytest.raises(RefusedError, match=r"topic musewatch/door: .* bytes, it takes 3000 at most"):
            sink.publish([hit_event(purpose="x" * 3000)])
        sink.publish([hit_event()])


def test_as_frigate_has_it(broker: Mosquitto, tmp_path: Path) -> None:
    sink = {"use": "mqtt", "url": broker.url, "prefix": "frigate", "as": "frigate"}
    made: Any = build.sink(parse_config({"version": 1, "sinks": [sink]}, tmp_path, "c.yaml"), 0)
    with broker.listening("frigate/#") as listener:
        made.start()
        wait_until(lambda: listener.payloads("frigate/available") == [b"online"])
        made.publish(
            [hit_event(), hit_event(number=2), hit_event("updated"), hit_event(stream="yard", number=3)]
        )
        made.publish([hit_event("closed"), hit_event("retracted", number=2)])
        made.close()
        wait_until(lambda: listener.payloads("frigate/available") == [b"online", b"offline"])
    messages = [json.loads(payload) for payload in listener.payloads("frigate/events")]
    assert [message["type"] for message in messages] == ["new", "new", "update", "new", "end", "end"]
    assert all(message["before"] for message in messages)
    assert listener.payloads("frigate/door/person") == [b"1", b"2", b"2", b"1", b"0"]
    assert listener.payloads("frigate/yard/person") == [b"1"]
    with broker.listening("frigate/#") as late:
        wait_until(lambda: len(late.heard) == 3)
    assert {(topic, payload) for topic, payload, retained in late.heard if retained} == {
        ("frigate/available", b"offline"), ("frigate/door/person", b"0"), ("frigate/yard/person", b"1"),
    }  # fmt: skip


def test_the_broker_says_that_we_are_gone_when_we_die(broker: Mosquitto) -> None:
    with broker.listening("watch/alive") as listener, mqtt(broker.url, available="watch/alive") as sink:
        sink.start()
        wait_until(lambda: listener.payloads("watch/alive") == [b"online"])
        sink._connection._client.socket().shutdown(2)  # as a process that is killed
        wait_until(lambda: listener.payloads("watch/alive")[:2] == [b"online", b"offline"])
        patiently(lambda: listener.payloads("watch/alive") == [b"online", b"offline", b"online"])


def test_a_run_is_announced_once_a_broker_that_was_down_is_there(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with mqtt(broker.url, available="watch/alive") as sink:
        before = threading.active_count()
        sink.start()
        with broker, broker.listening("watch/alive") as listener:
            patiently(lambda: listener.payloads("watch/alive") == [b"online"])
            sink.publish([hit_event()])
        sink.close()
        assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "http://h"}, "url: expected mqtt://HOST"),
        ({"url": "mqtt://h:99999"}, "url: Port out of range"),
        ({"url": "mqtt://h/topic"}, "url: expected mqtt://HOST"),
        ({"url": "mqtt://"}, "url: expected mqtt://HOST"),
        ({"topic": None}, "give either topic or prefix"),
        ({"prefix": "p"}, "give either topic or prefix"),
        ({"topic": "a/#"}, "topic: a topic is text without"),
        ({"topic": "$SYS/a"}, "topic: a topic is text without"),
        ({"topic": "a/{identity}"}, "topic: nothing stands for {identity}; known: {site}, {stream}"),
        ({"topic": None, "prefix": "{stream}"}, "prefix: nothing stands for {stream}"),
        ({"topic": None, "prefix": "p", "available": "a"}, "available: with prefix it is PREFIX/available"),
        ({"url": "mqtt://anna:hunter2@h", "username": "anna"}, "the user stands in the url already"),
        ({"password": "hunter2"}, "a password needs a username"),
        ({"tls": {}}, "tls: the url must begin with mqtts://"),
        ({"url": "mqtts://h", "tls": {"ca": "none.pem"}}, "tls: .*none.pem cannot be read"),
        ({"topik": "a"}, "unknown key; did you mean 'topic'"),
    ],
)
def test_a_wrong_setting_is_named(keys: dict[str, Any], said: str) -> None:
    settings = {
        key: value for key, value in ({"url": "mqtt://h", "topic": "t"} | keys).items() if value is not None
    }
    with pytest.raises(ConfigError, match=f"sinks.0.*{said.replace('{', chr(92) + '{')}") as refusal:
        registry.build("sink", choose("mqtt", **settings), Path(), "sinks.0")
    assert "hunter2" not in str(refusal.value)
