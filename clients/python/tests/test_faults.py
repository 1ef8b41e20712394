"""The client and servers that misbehave, as no daemon can be made to."""

import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import unittest.mock
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sealift
from sealift import answers

RUN = b'{"run_id":"r1","pipeline":"p","state":"succeeded","outcome":"done","streams":[],"something":"more"}'


@contextmanager
def answering(*script, certificate=None):
    """A server that gives one answer after the other, and the last one for ever; tells what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            status, headers, body = script[min(len(asked), len(script) - 1)]
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path, dict(self.headers)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_):
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


class Faults(unittest.TestCase):
    """What passes is borne, what does not is told."""

    def test_a_trigger_is_sent_again_under_the_same_key(self):
        busy = (429, {"Retry-After": "0"}, b'{"detail":"too many requests"}')
        away = (503, {}, b"<html>no backend</html>")
        with answering(busy, away, (202, {}, b'{"run_id":"r1"}')) as (url, asked):
            self.assertEqual(sealift.Client(url, "sl_t").trigger("p"), "r1")
        self.assertEqual(len(asked), 3)
        self.assertEqual(len({headers["Idempotency-Key"] for _, _, headers in asked}), 1)

    def test_pipelines_are_listed_page_by_page(self):
        one = '{"name":"%s","owner":"o","schedule":null}'
        pages = [f'{{"pipelines":[{one % "a"}],"next":"a b"}}', f'{{"pipelines":[{one % "c"}],"next":null}}']
        with answering(*((200, {}, page.encode()) for page in pages)) as (url, asked):
            self.assertEqual([pipeline.name for pipeline in sealift.Client(url, "sl_t").pipelines()], ["a", "c"])
        self.assertEqual([path.partition("?")[2] for _, path, _ in asked], ["limit=1000", "limit=1000&after=a+b"])

    def test_runs_are_listed_until_there_are_enough(self):
        page = '{"runs":[{"run_id":"%s","pipeline":"p","state":"queued"}],"next":"%s"}'
        pages = [(200, {}, (page % (run_id, run_id)).encode()) for run_id in ("r1", "r2", "r3")]
        with answering(*pages) as (url, asked):
            runs = sealift.Client(url, "sl_t").runs("p", limit=2, streams=False)
        self.assertEqual([run.run_id for run in runs], ["r1", "r2"])
        first, second = (path.partition("?")[2] for _, path, _ in asked)
        self.assertEqual(first, "pipeline=p&streams=false&limit=2")
        self.assertEqual(second, "pipeline=p&streams=false&limit=1&after=r1")

    def test_a_run_that_failed_is_followed_without_a_listing(self):
        failed = (200, {}, RUN.replace(b"succeeded", b"failed").replace(b"done", b"failed"))
        found = (202, {}, b'{"run_id":"r1","created":false}')
        new = (202, {}, b'{"run_id":"r2","created":true}')
        with answering(found, failed, new) as (url, asked):
            self.assertEqual(sealift.Client(url, "sl_t").trigger("p", "k", retry_failed=True), "r2")
        triggered = ("POST", "/v1/pipelines/p/runs")
        self.assertEqual([(method, path) for method, path, _ in asked], [triggered, ("GET", "/v1/runs/r1?wait=0"), triggered])
        self.assertNotEqual(asked[0][2]["Idempotency-Key"], asked[2][2]["Idempotency-Key"])
        for answer in (new, found):
            with answering(answer, (200, {}, RUN)) as (url, asked):
                sealift.Client(url, "sl_t").trigger("p", "k", retry_failed=True)
            self.assertEqual(len([method for method, *_ in asked if method == "POST"]), 1)

    def test_a_run_is_cancelled_although_the_answer_was_lost(self):
        lost = (503, {}, b'{"type":"urn:sealift:problem:timeout"}')
        over = (409, {}, b'{"type":"urn:sealift:problem:run-over","state":"cancelled"}')
        with answering(lost, over, (200, {}, RUN.replace(b"succeeded", b"cancelled"))) as (url, asked):
            sealift.Client(url, "sl_t").cancel("r1")
        self.assertEqual(len(asked), 3)
        with answering(over, (200, {}, RUN)) as (url, _), self.assertRaises(sealift.Conflict):
            sealift.Client(url, "sl_t").cancel("r1")

    def test_the_word_of_a_problem_says_more_than_its_status(self):
        words = (
            (409, "held", sealift.Held),
            (409, "run-active", sealift.Conflict),
            (422, "data", sealift.BadData),
            (422, "invalid", sealift.Invalid),
            (422, "key-reused", sealift.Usage),
            (408, "too-slow", sealift.Temporary),
        )
        for status, word, kind in words:
            body = f'{{"type":"urn:sealift:problem:{word}","detail":"no"}}'.encode()
            with answering((status, {}, body)) as (url, _), self.assertRaises(sealift.SealiftError) as error:
                sealift.Client(url, "sl_t", patience=0).run("r1")
            self.assertEqual((type(error.exception), error.exception.problem), (kind, word))

    def test_patience_ends(self):
        with answering((503, {}, b'{"detail":"stopping","help":"wait"}')) as (url, asked):
            with self.assertRaises(sealift.Temporary) as error:
                sealift.Client(url, "sl_t", patience=1).run("r1")
        self.assertEqual((str(error.exception), error.exception.exit_code), ("stopping\nhelp: wait", 75))
        self.assertGreater(len(asked), 1)

    def test_retry_after_is_heeded_within_patience(self):
        with answering((429, {"Retry-After": "20"}, b'{"detail":"slow down"}')) as (url, asked):
            with self.assertRaises(sealift.Temporary):
                sealift.Client(url, "sl_t", patience=1).run("r1")
        self.assertEqual(len(asked), 1)

    def test_what_lasts_is_not_asked_again(self):
        for status, kind in ((400, sealift.Usage), (401, sealift.Unauthorized), (403, sealift.Denied)):
            with answering((status, {}, b'{"detail":"no \\u001b[31m"}')) as (url, asked):
                with self.assertRaises(kind) as error:
                    sealift.Client(url, "sl_t").run("r1")
            self.assertEqual((str(error.exception), len(asked)), ("no [31m", 1))

    def test_a_token_follows_no_redirect(self):
        with answering((200, {}, RUN)) as (elsewhere, stolen):
            for status in (301, 302, 303, 307, 308):
                with answering((status, {"Location": f"{elsewhere}/v1/runs/r1"}, b"")) as (url, _):
                    with self.assertRaises(sealift.Unreachable):
                        sealift.Client(url, "sl_t", patience=0).run("r1")
        self.assertEqual(stolen, [])

    def test_a_proxy_of_the_environment_sees_no_token_for_this_machine(self):
        with answering((200, {}, RUN)) as (proxy, stolen), answering((200, {}, RUN)) as (url, asked):
            with unittest.mock.patch.dict("os.environ", {"http_proxy": proxy, "HTTP_PROXY": proxy}):
                self.assertEqual(sealift.Client(url, "sl_t").run("r1").run_id, "r1")
        self.assertEqual((stolen, len(asked)), ([], 1))

    def test_over_tls_a_token_goes_to_who_can_be_trusted_only(self):
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/both.pem"
            make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            about = ["-days", "2", "-subj", "/CN=daemon", "-addext", "subjectAltName=IP:127.0.0.1"]
            subprocess.run(
                [*make, *about, "-keyout", file, "-out", f"{folder}/only.pem"], check=True, capture_output=True
            )
            with open(file, "a") as both, open(f"{folder}/only.pem") as only:
                both.write(only.read())
            with answering((200, {}, RUN), certificate=file) as (url, asked):
                with self.assertRaises(sealift.Unreachable) as error:
                    sealift.Client(url, "sl_t", patience=0).run("r1")
                self.assertIn("self-signed certificate", str(error.exception))
                self.assertEqual(asked, [])
                self.assertEqual(sealift.Client(url, "sl_t", f"{folder}/only.pem").run("r1").run_id, "r1")
        with self.assertRaises(sealift.Invalid):
            sealift.Client(url, "sl_t", "missing.pem")

    def test_an_endless_or_foreign_answer_is_no_daemons(self):
        with answering((200, {}, b" " * (answers.MOST_BYTES + 1))) as (url, _):
            with self.assertRaises(sealift.Unreachable):
                sealift.Client(url, "sl_t", patience=0).run("r1")
        for body in (b"<html>", b"[]", b'"run"', b""):
            with answering((200, {}, body)) as (url, _), self.assertRaises(sealift.Unreachable):
                sealift.Client(url, "sl_t", patience=0).run("r1")

    def test_a_silent_daemon_and_none_are_unreachable(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with self.assertRaises(sealift.Unreachable) as error:
                sealift.Client(url, "sl_t", timeout=0.3, patience=0).run("r1")
            self.assertIn("in time", str(error.exception))
        with self.assertRaises(sealift.Unreachable) as error:
            sealift.Client(url, "sl_t", patience=0).run("r1")
        self.assertEqual((error.exception.exit_code, error.exception.retry), (69, True))
        self.assertNotIn("sl_t", str(error.exception))


if __name__ == "__main__":
    unittest.main()
