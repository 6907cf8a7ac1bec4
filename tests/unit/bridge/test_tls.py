"""TLS and rights on a real mosquitto: who is let in, who is not, and in which words."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.doctor import examine
from edge.errors import Denied
from edge.mqtt import MqttSession
from edge.mqtt.tls import Tls, validity
from edge.pki import PkiFault, acl, days_left, make_ca, make_certificate
from tests.unit.bridge.samples import MOSQUITTO, listening
from tests.unit.bridge.test_uplinks import written

NOW_MS = round(time.time() * 1000)
CONF = """
per_listener_settings true
listener {port} 127.0.0.1
cafile {dir}/ca.crt
certfile {dir}/broker.crt
keyfile {dir}/broker.key
require_certificate true
use_identity_as_username true
acl_file {dir}/acl
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("pki")
    make_ca(folder, "Test site")
    make_certificate(folder, "broker", ["127.0.0.1", "localhost"])
    for name in ("b12-duty", "b13-duty", "dr1"):
        make_certificate(folder, name)
    make_certificate(folder, "old", days=1, begin=datetime.now(UTC) - timedelta(days=30))
    make_ca(folder / "foreign", "Somebody else")
    make_certificate(folder / "foreign", "b12-duty")
    (folder / "acl").write_text(acl("duty", ["b12", "b13"], "dr1"))
    # mosquitto drops to a user of its own when it is started as root.
    copy = Path("/tmp") / f"linli-tls-{os.getpid()}"
    copy.mkdir(mode=0o755)
    for name in ("ca.crt", "broker.crt", "broker.key", "acl"):
        shutil.copy(folder / name, copy / name)
        (copy / name).chmod(0o644)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (copy / "mosquitto.conf").write_text(CONF.format(port=port, dir=copy))
    process = subprocess.Popen([MOSQUITTO, "-c", str(copy / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        listening(port)
        yield folder, port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(copy)


def session(
    site: tuple[Path, int], name: str, ca: str = "ca.crt", subscriptions: Sequence[tuple[str, int]] = ()
) -> MqttSession:
    folder, port = site
    return MqttSession(
        [f"mqtts://127.0.0.1:{port}"],
        client_id=name,
        username=None,
        password=None,
        subscriptions=subscriptions,
        count=lambda _: None,
        ca=folder / ca,
        cert=folder / f"{name}.crt",
        key=folder / f"{name}.key",
    )


async def test_gateway_and_duty_room_hear_each_other_and_nobody_else(site: tuple[Path, int]) -> None:
    b12 = session(site, "b12-duty", subscriptions=[("linli/v1/b12/command", 1)])
    b13 = session(site, "b13-duty", subscriptions=[("linli/v1/b12/command", 1), ("linli/v1/b13/command", 1)])
    dr1 = session(site, "dr1", subscriptions=[("linli/v1/+/event", 1)])
    try:
        for one in (b12, b13, dr1):
            await one.open()
        await b12.publish("linli/v1/b12/event", b"mine")
        assert (await dr1.receive())[0].payload == b"mine"
        with pytest.raises(Denied):
            await b13.publish("linli/v1/b12/event", b"in another's name")
        with pytest.raises(Denied):
            await b12.publish("linli/v1/b12/command", b"to itself")
        await dr1.publish("linli/v1/b12/command", b"for b12")
        await dr1.publish("linli/v1/b13/command", b"for b13")
        assert [r.payload for r in await b12.receive()] == [b"for b12"]
        assert [r.payload for r in await b13.receive()] == [b"for b13"], "b13 does not hear the wishes for b12"
    finally:
        for one in (b12, b13, dr1):
            await one.close()


@pytest.mark.parametrize(
    ("name", "ca", "words"),
    [
        ("old", "ca.crt", "our certificate old.crt has expired on"),
        ("b12-duty", "foreign/ca.crt", "another authority than ours"),
        ("b12-duty", "b12-duty.key", "not a certificate authority"),
        ("missing", "ca.crt", "cannot be read"),
    ],
)
async def test_each_fault_has_its_plain_words(site: tuple[Path, int], name: str, ca: str, words: str) -> None:
    with pytest.raises(Denied, match=words):
        await session(site, name, ca).open()


async def test_a_certificate_of_another_authority_is_not_let_in(site: tuple[Path, int]) -> None:
    folder, port = site
    wrong = MqttSession(
        [f"mqtts://127.0.0.1:{port}"],
        client_id="b12-duty",
        username=None,
        password=None,
        count=lambda _: None,
        ca=folder / "ca.crt",
        cert=folder / "foreign/b12-duty.crt",
        key=folder / "foreign/b12-duty.key",
    )
    with pytest.raises(Denied, match="does not know the authority of our certificate"):
        await wrong.open()


async def test_a_broker_with_an_expired_or_foreign_name_is_not_trusted(tmp_path: Path) -> None:
    make_ca(tmp_path, "Test site")
    make_certificate(tmp_path, "late", ["127.0.0.1"], days=1, begin=datetime.now(UTC) - timedelta(days=30))
    make_certificate(tmp_path, "other", ["broker.example"])
    make_certificate(tmp_path, "early", ["127.0.0.1"], begin=datetime.now(UTC) + timedelta(days=9))
    for name, words in (("late", "has expired"), ("other", "for another"), ("early", "is our clock right")):
        with pytest.raises(Denied, match=words):
            await greet(tmp_path, name, NOW_MS)
    # A clock that says 1970: the dates are not looked at, everything else is.
    await greet(tmp_path, "early", 0)
    with pytest.raises(Denied, match="for another"):
        await greet(tmp_path, "other", 0)


async def greet(folder: Path, name: str, now_ms: int) -> None:
    """A TLS handshake with a server that shows this certificate."""
    import ssl

    from cloud_bridge.tcp import TcpLink

    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
    link = TcpLink([server.sockets[0].getsockname()[:2]], lambda: Tls(folder / "ca.crt").context(now_ms))
    try:
        await link.open()
    finally:
        link.close()
        server.close()


def test_keys_belong_to_their_user_and_an_authority_is_never_replaced(tmp_path: Path) -> None:
    make_ca(tmp_path, "Test site")
    make_certificate(tmp_path, "b12-duty")
    for name in ("ca.key", "b12-duty.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert days_left(tmp_path / "b12-duty.crt") in (824, 825)
    with pytest.raises(PkiFault, match="cut off"):
        make_ca(tmp_path, "Again")
    first = (tmp_path / "b12-duty.crt").read_bytes()
    make_certificate(tmp_path, "b12-duty")
    assert (tmp_path / "b12-duty.crt").read_bytes() != first, "the same call renews"
    with pytest.raises(PkiFault):
        make_certificate(tmp_path, "../escape")


@pytest.mark.parametrize("name", ["b1+", "a\nuser root", "#", ""])
def test_no_name_gives_rights_to_others(name: str) -> None:
    with pytest.raises(PkiFault):
        acl("duty", [name])


def test_validity_is_read_without_a_library(tmp_path: Path) -> None:
    make_ca(tmp_path, "Test site")
    begin = datetime(2049, 12, 30, tzinfo=UTC)
    make_certificate(tmp_path, "over", begin=begin, days=9)
    valid = validity(tmp_path / "over.crt")
    assert valid is not None
    assert datetime.fromtimestamp(valid[0] / 1000, UTC) == begin
    assert datetime.fromtimestamp(valid[1] / 1000, UTC) == begin + timedelta(days=11), "UTCTime, then GeneralizedTime"
    assert validity(tmp_path / "ca.key") is None and validity(tmp_path / "none") is None


def test_the_commands(tmp_path: Path) -> None:
    run = CliRunner()
    where = ["--dir", str(tmp_path / "pki")]
    assert run.invoke(app, ["pki", "cert", "b12", *where]).exit_code == 1
    assert run.invoke(app, ["pki", "ca", *where]).exit_code == 0
    assert run.invoke(app, ["pki", "ca", *where]).exit_code == 1
    assert run.invoke(app, ["pki", "cert", "broker", *where, "--host", "10.0.0.1", "--host", "broker"]).exit_code == 0
    shown = run.invoke(app, ["pki", "acl", "city", "--gateway", "b12"])
    assert shown.exit_code == 0 and "topic write linli/v1/b12/fact" in shown.output
    assert run.invoke(app, ["pki", "acl", "moon"]).exit_code == 1


def test_doctor_says_each_fault_of_a_certificate_in_plain_words(site: tuple[Path, int], tmp_path: Path) -> None:
    folder, port = site
    text = f"""
  city: {{url: "mqtts://127.0.0.1:{port}", ca: {folder}/ca.crt, cert: {folder}/old.crt, key: {folder}/old.key}}
  dc09: {{address: "127.0.0.1:{port}", account: "5101", ca: {folder}/foreign/ca.crt}}
  sparkplug: {{url: "mqtts://127.0.0.1:{port}", group: g, ca: {folder}/ca.crt}}
  influx: {{url: "http://127.0.0.1:9", org: o, bucket: b, token: "${{file:pw}}"}}
"""
    rows = {row["what"].split(":")[0]: row for row in examine(written(tmp_path, text))}
    assert "our certificate old.crt has expired on" in rows["city"]["what"]
    assert "another authority than ours" in rows["uplink dc09"]["what"]
    assert rows["uplink sparkplug"]["result"] == "ok"
    assert "does not answer" in rows["uplink influx"]["what"]
