import asyncio
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager

import aiohttp
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rdataclass
import dns.resolver
import pytest
from dns.rcode import Rcode
from hypothesis import given, settings
from hypothesis import strategies as st

from localstack.dns_server import Responder, ZoneFile, main, start_server
from localstack.dns_zone import ZoneError, parse_zone
from localstack.zone_api import start_zone_api
from localstack.zone_overlay import Overlay
from localstack.zones import world_zone

HOST = "127.0.0.1"
BIG = {"records": [["big.test", "TXT", f"{number:03}" + "x" * 200] for number in range(10)]}


@pytest.fixture
def zone_file(tmp_path):
    path = tmp_path / "zone.json"
    path.write_text(json.dumps(world_zone()))
    return path


@asynccontextmanager
async def serving(zone_file, query_log=None):
    server = await start_server(Responder(ZoneFile(zone_file), query_log), HOST, 0)
    try:
        yield server.port
    finally:
        await server.stop()


async def over_udp(port, name, rdtype, **how):
    query = dns.message.make_query(name, rdtype, **how)
    return await dns.asyncquery.udp(query, HOST, port=port, timeout=5)


async def over_tcp(port, name, rdtype):
    query = dns.message.make_query(name, rdtype)
    return await dns.asyncquery.tcp(query, HOST, port=port, timeout=5)


async def test_mx_hosts_are_answered_alike_over_udp_and_tcp(zone_file):
    async with serving(zone_file) as port:
        udp, tcp = await over_udp(port, "sim.test", "MX"), await over_tcp(port, "sim.test", "MX")

    assert udp.answer == tcp.answer
    assert {record.to_text() for record in udp.answer[0]} == {
        "10 mx1.sim.test.",
        "20 mx2.sim.test.",
    }
    assert udp.flags & dns.flags.AA


@pytest.mark.parametrize(
    ("name", "rcode", "answers"),
    [
        ("ghost.sim.test", Rcode.NXDOMAIN, 0),
        ("nodata.sim.test", Rcode.NOERROR, 0),
        ("servfail.sim.test", Rcode.SERVFAIL, 0),
        ("nullmx.sim.test", Rcode.NOERROR, 1),
        ("cname.sim.test", Rcode.NOERROR, 2),
    ],
)
async def test_each_kind_of_name_gets_its_code(zone_file, name, rcode, answers):
    async with serving(zone_file) as port:
        response = await over_udp(port, name, "MX")

    assert (response.rcode(), len(response.answer)) == (rcode, answers)
    assert bool(response.authority) == (rcode is not Rcode.SERVFAIL and not answers)


async def test_a_stub_resolver_is_content_with_the_answers(zone_file):
    async with serving(zone_file) as port:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [HOST], port
        found = await asyncio.to_thread(resolver.resolve, "cname.sim.test", "MX")
        with pytest.raises(dns.resolver.NXDOMAIN):
            await asyncio.to_thread(resolver.resolve, "ghost.sim.test", "MX")

    assert str(found.canonical_name) == "sim.test."


@pytest.mark.parametrize(("payload", "most"), [(None, 512), (800, 800), (4096, 1232)])
async def test_what_does_not_fit_is_cut_over_udp_and_whole_over_tcp(zone_file, payload, most):
    zone_file.write_text(json.dumps(BIG))
    how = {"use_edns": 0, "payload": payload} if payload else {"use_edns": -1}
    async with serving(zone_file) as port:
        cut = await over_udp(port, "big.test", "TXT", **how)
        whole = await over_tcp(port, "big.test", "TXT")

    assert cut.flags & dns.flags.TC
    assert len(cut.to_wire()) <= most
    assert len(whole.answer[0]) == 10
    assert not whole.flags & dns.flags.TC


async def test_each_query_is_logged_as_one_line(zone_file):
    query_log = io.StringIO()
    async with serving(zone_file, query_log) as port:
        await over_udp(port, "sim.test", "MX")
        await over_tcp(port, "ghost.sim.test", "A")

    lines = [json.loads(line) for line in query_log.getvalue().splitlines()]
    assert all(line.pop("at").endswith("+00:00") for line in lines)
    assert lines == [
        {"name": "sim.test.", "type": "MX", "rcode": "NOERROR", "proto": "udp"},
        {"name": "ghost.sim.test.", "type": "A", "rcode": "NXDOMAIN", "proto": "tcp"},
    ]


async def test_records_added_to_the_file_are_served_and_a_broken_file_changes_nothing(
    zone_file, caplog
):
    async with serving(zone_file) as port:
        assert (await over_udp(port, "new.test", "A")).rcode() is Rcode.NXDOMAIN

        zone_file.write_text('{"records": [["new.test", "A", "127.0.0.1"]]}')
        assert (await over_udp(port, "new.test", "A")).rcode() is Rcode.NOERROR

        for broken in ('{"records": [["new', '{"records": 5}'):
            zone_file.write_text(broken)
            assert (await over_udp(port, "new.test", "A")).rcode() is Rcode.NOERROR
        zone_file.unlink()
        assert (await over_udp(port, "new.test", "A")).rcode() is Rcode.NOERROR
        assert "keeping the old zone" in caplog.text

        zone_file.write_text('{"records": []}')
        assert (await over_udp(port, "new.test", "A")).rcode() is Rcode.NXDOMAIN


async def test_a_class_or_operation_that_is_not_served_is_refused(zone_file):
    async with serving(zone_file) as port:
        chaos = await over_udp(port, "sim.test", "TXT", rdclass=dns.rdataclass.CH)
        update = dns.message.make_query("sim.test", "SOA")
        update.set_opcode(4)
        refused = await dns.asyncquery.udp(update, HOST, port=port, timeout=5)

    assert (chaos.rcode(), refused.rcode()) == (Rcode.REFUSED, Rcode.NOTIMP)


async def test_an_endless_tcp_query_is_hung_up_on(zone_file):
    async with serving(zone_file) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(struct.pack("!H", 65_535))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@settings(max_examples=100)
@given(st.binary(max_size=80), st.binary(max_size=12))
def test_any_octets_get_a_response_or_silence(tmp_path_factory, noise, prefix):
    path = tmp_path_factory.getbasetemp() / "zone-of-noise.json"
    if not path.exists():
        path.write_text(json.dumps(world_zone()))
    responder = Responder(ZoneFile(path), None)
    question = dns.message.make_query("sim.test", "MX").to_wire()

    for wire in (noise, prefix + question[len(prefix) :], question[:12] + noise):
        response = responder.respond(wire, "udp")
        if response is not None:
            assert response[:2] == wire[:2]
            assert response[2] & 0x80
            assert len(response) <= 1232


def test_a_response_is_never_answered(zone_file):
    reflected = bytearray(dns.message.make_query("sim.test", "MX").to_wire())
    reflected[2] |= 0x80

    assert Responder(ZoneFile(zone_file), None).respond(bytes(reflected), "udp") is None


def test_a_bad_zone_file_is_one_clear_line_and_exit_2(tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text('{"records": [["a.test", "A", "nowhere"]]}')

    assert main(["--zone", str(path)]) == 2
    assert "records[0]" in capsys.readouterr().err
    assert main(["--zone", str(tmp_path / "missing.json")]) == 2


def test_a_port_that_is_taken_is_one_clear_line_and_exit_2(zone_file, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]

        assert main(["--zone", str(zone_file), "--port", str(port)]) == 2
    assert "in use" in capsys.readouterr().err


def test_the_program_says_when_it_is_ready_and_stops_on_sigterm(zone_file, tmp_path):
    ready, query_log = tmp_path / "ready.json", tmp_path / "logs" / "q.log"
    command = [sys.executable, "-m", "localstack.dns_server", "--zone", str(zone_file)]
    command += ["--log", str(query_log), "--ready-file", str(ready)]
    with subprocess.Popen(command) as server:
        try:
            deadline = time.monotonic() + 30
            while not ready.exists():
                assert server.poll() is None
                assert time.monotonic() < deadline
                threading.Event().wait(0.01)
            facts = json.loads(ready.read_text())
            assert facts["pid"] == server.pid
            asyncio.run(over_udp(facts["port"], "sim.test", "MX"))
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    assert json.loads(query_log.read_text())["name"] == "sim.test."


@asynccontextmanager
async def serving_with_api(zone_file):
    overlay = Overlay()
    server = await start_server(Responder(ZoneFile(zone_file, overlay), None), HOST, 0)
    api = await start_zone_api(overlay, 0)
    async with aiohttp.ClientSession(f"http://{HOST}:{api.port}") as http:

        async def call(method, name="", status=200, **how):
            path = f"/zone/records/{name}" if name else "/zone/records"
            async with http.request(method, path, **how) as response:
                document = await response.json()
                assert response.status == status, document
                return document

        try:
            yield server.port, call
        finally:
            await api.stop()
            await server.stop()


async def addresses_of(port, name, rdtype="A"):
    response = await over_udp(port, name, rdtype)
    return [record.to_text() for rrset in response.answer for record in rrset]


async def test_a_rebinding_name_changes_with_every_query_and_is_never_kept(zone_file):
    async with serving(zone_file) as port:
        answers = [await over_udp(port, "rebind.sim.test", "A") for _ in range(3)]
        other = await over_udp(port, "rebind.sim.test", "AAAA")

    assert [answer.answer[0][0].to_text() for answer in answers] == [
        "203.0.113.7",
        "127.0.0.1",
        "203.0.113.7",
    ]
    assert {answer.answer[0].ttl for answer in answers} == {0}
    assert (other.rcode(), other.answer) == (Rcode.NOERROR, [])


async def test_a_silent_name_gets_no_answer_and_the_server_goes_on(zone_file):
    query_log = io.StringIO()
    async with serving(zone_file, query_log) as port:
        query = dns.message.make_query("mx.timeout.sim.test", "A")
        with pytest.raises(dns.exception.Timeout):
            await dns.asyncquery.udp(query, HOST, port=port, timeout=0.3)
        with pytest.raises(EOFError):
            await over_tcp(port, "timeout.sim.test", "MX")
        assert (await over_udp(port, "sim.test", "MX")).answer

    lines = [json.loads(line) for line in query_log.getvalue().splitlines()]
    assert [line["rcode"] for line in lines] == ["silence", "silence", "NOERROR"]


async def test_names_set_over_http_stand_in_place_of_the_files_until_removed(zone_file):
    async with serving_with_api(zone_file) as (port, call):
        await call("PUT", "sim.test", json={"records": [["A", "192.0.2.1"], ["A", "192.0.2.2", 9]]})
        assert sorted(await addresses_of(port, "sim.test")) == ["192.0.2.1", "192.0.2.2"]
        assert await addresses_of(port, "sim.test", "MX") == []
        assert await addresses_of(port, "mx1.sim.test") == ["127.0.0.2"]
        # The file may change meanwhile and is still heard.
        document = world_zone()
        document["records"].append(["late.test", "A", "192.0.2.9"])
        zone_file.write_text(json.dumps(document))
        assert await addresses_of(port, "late.test") == ["192.0.2.9"]
        assert len(await addresses_of(port, "sim.test")) == 2

        shown = await call("GET", "SIM.test.")
        assert (shown["name"], shown["asked"]) == ("sim.test.", {"A": 2, "MX": 1})
        assert (await call("GET"))["names"] == [shown]
        assert await call("DELETE", "sim.test") == {"deleted": 1}
        await call("DELETE", "sim.test", status=404)
        await call("GET", "sim.test", status=404)
        assert len(await addresses_of(port, "sim.test", "MX")) == 2


async def test_a_name_set_over_http_may_change_fail_hide_or_be_silent(zone_file):
    sequence = [["A", ["203.0.113.7", "203.0.113.7", ["127.0.0.1", "10.0.0.1"]]]]
    async with serving_with_api(zone_file) as (port, call):
        expected = [["203.0.113.7"], ["203.0.113.7"], ["10.0.0.1", "127.0.0.1"]]
        for count in (2, 3):  # set again it starts over
            await call("PUT", "r.test", json={"changing": sequence})
            got = [await addresses_of(port, "r.test") for _ in range(count)]
            assert [sorted(each) for each in got] == expected[:count]
        for answer, rcode in (("servfail", Rcode.SERVFAIL), ("nxdomain", Rcode.NXDOMAIN)):
            await call("PUT", "nomx.sim.test", json={"answer": answer})
            assert (await over_udp(port, "nomx.sim.test", "A")).rcode() is rcode
        await call("PUT", "nomx.sim.test", json={"records": []})
        bare = await over_udp(port, "nomx.sim.test", "A")
        assert (bare.rcode(), bare.answer) == (Rcode.NOERROR, [])
        await call("PUT", "nomx.sim.test", json={"answer": "silent"})
        with pytest.raises(EOFError):
            await over_tcp(port, "nomx.sim.test", "A")
        assert await call("DELETE") == {"deleted": 2}
        assert await addresses_of(port, "nomx.sim.test") == ["127.0.0.2"]


@pytest.mark.parametrize(
    ("name", "document", "complaint"),
    [
        ("a.test", {}, "send"),
        ("a.test", [], "send"),
        ("a.test", {"record": []}, "unknown key"),
        ("a.test", {"records": [7]}, "list of lists"),
        ("a.test", {"records": [["A"]]}, "records[0]"),
        ("a.test", {"records": [["A", "nowhere"]]}, "records[0]"),
        ("a.test", {"records": [["A", "192.0.2.1"]] * 1_001}, "at most 1000"),
        ("a.test", {"changing": [["A", []]]}, "changing[0]"),
        ("a.test", {"changing": [["A", [[]]]]}, "changing[0]"),
        ("a.test", {"changing": [["CNAME", ["b.test.", "c.test."]]]}, "alias cannot change"),
        (
            "a.test",
            {"changing": [["A", ["192.0.2.1"]]], "records": [["A", "192.0.2.2"]]},
            "in records and in changing",
        ),
        ("a.test", {"answer": "refused"}, "answer stands alone"),
        ("a.test", {"answer": "silent", "records": []}, "answer stands alone"),
        ("a..test", {"records": []}, "not a domain name"),
    ],
)
async def test_a_wrong_name_or_record_is_refused_with_its_reason(
    zone_file, name, document, complaint
):
    async with serving_with_api(zone_file) as (_, call):
        answer = await call("PUT", name, status=400, json=document)
        assert complaint in answer["error"]
        assert await call("GET") == {"names": []}


async def test_the_zone_api_takes_json_from_those_who_ask_for_loopback_only(zone_file):
    async with serving_with_api(zone_file) as (_, call):
        await call("PUT", "a.test", status=415, data=b"{}")
        json_type = {"Content-Type": "application/json"}
        await call("PUT", "a.test", status=400, data=b"{", headers=json_type)
        foreign = {"Host": "evil.example"}
        await call("PUT", "a.test", status=403, json={"records": []}, headers=foreign)


@pytest.mark.parametrize(
    "text",
    [
        '{"changing": [["a.test", "A", "192.0.2.1"]]}',
        '{"changing": [["a.test", "A"]]}',
        '{"changing": [["a.test", "A", ["192.0.2.1", "x"]]]}',
        '{"changing": [["a.test", "A", ["192.0.2.1"], -1]]}',
        '{"silent": [""]}',
    ],
)
def test_a_zone_with_a_wrong_changing_or_silent_name_is_refused(text):
    with pytest.raises(ZoneError, match=r"changing|silent"):
        parse_zone(text)
