"""Checks a webhook as its receiver would, with the library of Standard Webhooks: `webhook.py SECRET BODY HEADERS`, files of the
secret, the body and the headers (JSON). Prints what the body says."""

import json
import pathlib
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret, body, headers = (pathlib.Path(path).read_text() for path in sys.argv[1:4])
webhook = Webhook(secret.strip())
told = webhook.verify(body, json.loads(headers))
try:
    webhook.verify(body.replace("pipeline", "pipelime", 1), json.loads(headers))
except WebhookVerificationError:
    print(json.dumps(told))
else:
    sys.exit("a changed body passes")
