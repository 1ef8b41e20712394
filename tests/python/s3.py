"""A moto S3 server whose conditional puts are atomic: `s3.py -H HOST -p PORT`.

moto looks whether the object is there and then writes it. Now and then another of its threads comes between,
and two writers are told that they created one object, which no store worth publishing to does.
"""

import sys
import threading

from moto.s3.responses import S3Response
from moto.server import main

one_at_a_time = threading.Lock()
put_object = S3Response.put_object


def put_object_alone(self):
    with one_at_a_time:
        return put_object(self)


S3Response.put_object = put_object_alone
main(sys.argv[1:])
