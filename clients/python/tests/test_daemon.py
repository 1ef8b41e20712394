"""The client and a real daemon.

SEALIFT_URL and SEALIFT_TOKEN (role scheduler) name it, SEALIFT_TEST_READER is a token of role modeler. It serves the
pipelines `daily` (succeeds), `held`, `dirty` (its data breaks its contract), and `gated`, which reads the table `gate`
of the PostgreSQL that PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD name, and so waits for who locks it.
"""

import copy
import os
import pickle
import subprocess
import threading
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import sealift


@contextmanager
def closed_gate():
    """Runs of `gated` wait while inside."""
    with subprocess.Popen(["psql", "-qAtX"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
        psql.stdin.write("BEGIN; LOCK TABLE gate; SELECT 'closed';\n")
        psql.stdin.flush()
        assert psql.stdout.readline().strip() == "closed"
        try:
            yield
        finally:
            psql.communicate("COMMIT;\n")


class Runs(unittest.TestCase):
    """What is asked of a daemon, and what it answers."""

    def setUp(self):
        self.client = sealift.Client()

    def test_a_run_is_triggered_awaited_and_told_in_full(self):
        begun = datetime.now(timezone.utc) - timedelta(seconds=5)
        run_id = self.client.trigger("daily")
        run = self.client.wait(run_id, timeout=120)
        self.assertEqual((run.run_id, run.pipeline, run.outcome, run.state), (run_id, "daily", "done", "succeeded"))
        (stream,) = run.streams
        self.assertEqual((stream.dataset, stream.rows, stream.state), ("daily.rows", 2, "published"))
        self.assertGreater(stream.bytes, 0)
        self.assertTrue(begun < run.created_at <= run.started_at <= run.finished_at)
        self.assertIs(run.expect_done(), run)
        self.assertEqual(self.client.runs("daily", limit=1), [run])
        (bare,) = self.client.runs("daily", limit=1, streams=False)
        self.assertEqual((bare.run_id, bare.outcome, bare.streams), (run_id, "done", ()))
        self.assertEqual(run.summary()["streams"][0]["dataset"], "daily.rows")
        self.assertIn("daily", [pipeline.name for pipeline in self.client.pipelines()])

    def test_one_key_is_one_run_however_often_and_from_how_many_threads(self):
        key = str(uuid.uuid4())
        with ThreadPoolExecutor(16) as pool:
            ids = set(pool.map(lambda _: self.client.trigger("daily", key), range(64)))
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.client.sync("daily", key, timeout=120).run_id, ids.pop())

    def test_outcomes_are_exceptions_of_their_kind(self):
        with self.assertRaises(sealift.Held) as held:
            self.client.sync("held", timeout=120)
        self.assertEqual((held.exception.exit_code, held.exception.retry), (76, False))
        self.assertTrue(held.exception.remedy)
        self.assertTrue(held.exception.run_id)
        with self.assertRaises(sealift.BadData) as dirty:
            self.client.sync("dirty", timeout=120)
        self.assertEqual(dirty.exception.exit_code, 65)

    def test_refusals_are_exceptions_of_their_kind(self):
        with self.assertRaises(sealift.NotFound):
            self.client.trigger("nobody")
        with self.assertRaises(sealift.NotFound):
            self.client.run("../pipelines")
        with self.assertRaises(sealift.Usage):
            self.client.runs(limit=0)
        with self.assertRaises(sealift.Denied):
            sealift.Client(token=os.environ["SEALIFT_TEST_READER"]).trigger("daily")
        with self.assertRaises(sealift.Unauthorized):
            sealift.Client(token="sl_unknown").pipelines()
        with self.assertRaises(sealift.Invalid):
            self.client.trigger("daily", "two words")

    def test_a_run_that_goes_on_is_a_conflict_or_is_joined(self):
        with closed_gate():
            run_id = self.client.trigger("gated")
            with self.assertRaises(sealift.Conflict) as busy:
                self.client.trigger("gated")
            self.assertEqual((busy.exception.run_id, busy.exception.retry), (run_id, True))
            self.assertEqual(self.client.trigger("gated", join=True), run_id)
            with self.assertRaises(sealift.NotOver):
                self.client.wait(run_id, timeout=0.2)
            pipeline = next(one for one in self.client.pipelines() if one.name == "gated")
            self.assertEqual(pipeline.active_run, run_id)
        self.assertEqual(self.client.wait(run_id, timeout=120).outcome, "done")

    def test_a_run_is_cancelled_and_its_key_gives_another_one_then(self):
        key = str(uuid.uuid4())
        with closed_gate():
            run_id = self.client.trigger("gated", key)
            self.client.cancel(run_id)
            run = self.client.wait(run_id, timeout=120)
        self.assertEqual(run.state, "cancelled")
        with self.assertRaises(sealift.Cancelled):
            run.expect_done()
        self.client.cancel(run_id)
        second = self.client.sync("gated", key, timeout=120).run_id
        self.assertNotEqual(second, run_id)
        with self.assertRaises(sealift.Conflict):
            self.client.cancel(second)

    def test_a_run_that_failed_is_followed_only_when_asked(self):
        key = str(uuid.uuid4())
        first = self.client.trigger("held", key, retry_failed=True)
        self.client.wait(first, timeout=120)
        self.assertEqual(self.client.trigger("held", key), first)
        second = self.client.trigger("held", key, retry_failed=True)
        self.client.wait(second, timeout=120)
        third = self.client.trigger("held", key, retry_failed=True)
        self.client.wait(third, timeout=120)
        self.assertEqual(len({first, second, third}), 3)
        done = self.client.trigger("daily", "other-" + key, retry_failed=True)
        self.client.wait(done, timeout=120)
        self.assertEqual(self.client.trigger("daily", "other-" + key, retry_failed=True), done)

    def test_waiting_threads_hear_of_the_end(self):
        with closed_gate():
            run_id = self.client.trigger("gated")
            ends = []
            waiting = threading.Thread(target=lambda: ends.append(self.client.wait(run_id, timeout=120)))
            waiting.start()
        waiting.join()
        self.assertEqual([run.outcome for run in ends], ["done"])


class Secrets(unittest.TestCase):
    """The token is the daemon's and nobody else's."""

    def test_a_token_is_not_shown_copied_or_pickled(self):
        token = os.environ["SEALIFT_TOKEN"]
        client = sealift.Client()
        for shown in (repr(client), str(client), repr(vars(client))):
            self.assertNotIn(token, shown)
        for leak in (pickle.dumps, copy.deepcopy):
            with self.assertRaises(TypeError):
                leak(client)

    def test_a_token_goes_nowhere_in_plain_text(self):
        refused = [
            "http://sealift.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1:8470",
            "ftp://127.0.0.1",
            "sealift",
            "https://user:word@sealift.example.com",
            "https://sealift.example.com/v1",
            "http://127.0.0.1:port",
        ]
        for url in refused:
            with self.subTest(url), self.assertRaises(sealift.Invalid) as error:
                sealift.Client(url, "sl_token")
            self.assertNotIn("word", str(error.exception))
        for url in ("http://localhost:8470/", "http://[::1]:8470", "https://sealift.example.com"):
            sealift.Client(url, "sl_token")

    def test_what_no_header_carries_is_refused_before_anything_is_sent(self):
        for token in ("sl_a\r\nx: y", "sl_ü", "two words"):
            with self.subTest(token), self.assertRaises(sealift.Invalid) as error:
                sealift.Client(token=token)
            self.assertNotIn(token, str(error.exception))


if __name__ == "__main__":
    unittest.main()
