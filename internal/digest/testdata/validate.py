"""Runs the AWS CLI's `cloudtrail validate-logs` over buckets in memory.

Reads a JSON list of cases on stdin, and prints a JSON list of what the command returned and wrote.
"""
import base64
import contextlib
import io
import json
import sys

from awscli.customizations.cloudtrail import validation
from botocore.exceptions import ClientError


class Client:
    """What the command asks of S3 and CloudTrail."""

    def __init__(self, case, bucket):
        self.case, self.bucket = case, bucket

    def list_public_keys(self, StartTime, EndTime):
        return {"PublicKeyList": self.case["keys"]}

    def get_paginator(self, operation):
        assert operation == "list_objects"
        return self

    def paginate(self, Bucket, Marker, Prefix):
        keys = sorted(self.case["buckets"].get(Bucket, {}))
        return Pages(k for k in keys if k > Marker and k.startswith(Prefix))

    def get_object(self, Bucket, Key):
        found = self.case["buckets"].get(Bucket, {}).get(Key)
        if found is None:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        body = base64.b64decode(found["body"] or "")
        return {"Body": io.BytesIO(body), "Metadata": found["meta"] or {}}


class Pages:
    def __init__(self, keys):
        self.keys = keys

    def search(self, expression):
        assert expression == "Contents[*].Key"
        return self.keys


class Clients:
    def __init__(self, case):
        self.case = case

    def get_client(self, bucket):
        return Client(self.case, bucket)


def run(case):
    command = validation.CloudTrailValidateLogs(None)
    command.trail_arn = case["trail"]
    command.s3_bucket = case["bucket"]
    command.account_id = None
    command.is_verbose = True
    command.start_time = validation.normalize_date(validation.parse_date(case["start"]))
    command.end_time = validation.normalize_date(validation.parse_date(case["end"]))
    command._source_region = case["region"]
    command.s3_client_provider = Clients(case)
    command.cloudtrail_client = Client(case, None)
    command.organization_client = None
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        command._call()
    invalid = command._invalid_digests + command._invalid_backfill_digests + command._invalid_logs
    return {
        "invalid": invalid,
        "valid": [command._valid_digests + command._valid_backfill_digests, command._valid_logs],
        "out": out.getvalue(),
        "err": err.getvalue(),
    }


json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
