"""moto's server, and beside it, on a port of its own: what its backends hold, names and kinds, nothing that changes by
itself (moto's own /moto-api/data.json lists what was ever made, also when it is gone again); and at /invoked which
functions its services have invoked since it was last asked, with which events. It runs none.

    moto-server.py <port> <dump port>
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import moto_types  # noqa: F401
from moto.server import main

# Without EC2: what moto leaves of a VPC when it deletes its stack is moto's own.
SERVICES = ["awslambda", "iam", "s3", "cloudformation", "sqs", "events", "apigatewayv2", "logs", "cloudfront", "rds", "elasticache", "secretsmanager"]

# What AWS too remembers of what is gone, and counters.
FORGOTTEN = {"deleted_stacks", "events", "change_sets", "_url_maps", "_instances", "notification_id", "account_aliases"}


def held(value, depth=0):
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if depth > 4:
        return type(value).__name__
    if isinstance(value, dict):
        return {str(key): held(item, depth + 1) for key, item in sorted(value.items(), key=lambda i: str(i[0]))}
    if isinstance(value, (list, tuple, set)):
        return [held(item, depth + 1) for item in value]
    kind = type(value)
    if kind.__module__.startswith("moto") and kind.__name__.endswith(("Backend", "Storage", "TaggingService")):
        entries = {key: held(item, depth + 1) for key, item in sorted(vars(value).items()) if key not in FORGOTTEN}
        return {key: item for key, item in entries.items() if isinstance(item, (dict, list))}
    return kind.__name__


def full(value):
    """Without what is empty, and without a backend's own settings."""
    if not isinstance(value, dict):
        return value
    entries = {key: full(item) for key, item in value.items()}
    return {key: item for key, item in entries.items() if item not in ({}, [], None)}


def dump():
    from moto.backends import get_backend

    found = {}
    for service in SERVICES:
        for account, regions in get_backend(service.replace("awslambda", "lambda")).items():
            for region, backend in regions.items():
                state = {key: item for key, item in held(backend).items() if isinstance(item, (dict, list))}
                found[f"{service} {account} {region}"] = state
    return full(found)


INVOKED = []


def as_aws_does():
    """What this version of moto leaves out: a change set's tags and outputs reach the stack; a bucket's tags go with it, and
    a stack's bucket notifies functions; a VPC goes with the route tables that its stack made, which moto's stacks do
    not delete."""
    from moto.awslambda.models import LambdaFunction
    from moto.cloudformation.models import CloudFormationBackend
    from moto.ec2.models import EC2Backend
    from moto.s3.models import FakeBucket, S3Backend

    execute = CloudFormationBackend.execute_change_set
    create_bucket = FakeBucket.create_from_cloudformation_json.__func__
    delete_bucket = S3Backend.delete_bucket
    delete_vpc = EC2Backend.delete_vpc

    def execute_whole(self, change_set_name, stack_name=None):
        execute(self, change_set_name, stack_name)
        for change_set in self.change_sets.values():
            if change_set_name in (change_set.change_set_name, change_set.change_set_id):
                stack = self.stacks[change_set.stack_id]
                stack.tags = change_set.tags
                stack.template_dict = change_set.template_dict
                stack.output_map = stack._create_output_map()

    def delete_with_tables(self, vpc_id):
        for table in self.describe_route_tables(filters={"vpc-id": vpc_id}):
            if not table.main_association_id:
                self.route_tables.pop(table.id)
        return delete_vpc(self, vpc_id)

    def delete_with_tags(self, bucket_name):
        bucket = self.get_bucket(bucket_name)
        deleted = delete_bucket(self, bucket_name)
        if deleted:
            self.tagger.delete_all_tags_for_resource(bucket.arn)
        return deleted

    def create_with_notifications(cls, resource_name, cloudformation_json, *args, **kwargs):
        bucket = create_bucket(cls, resource_name, cloudformation_json, *args, **kwargs)
        wanted = cloudformation_json.get("Properties", {}).get("NotificationConfiguration", {})
        functions = [
            {"CloudFunction": one["Function"], "Event": [one["Event"]]} for one in wanted.get("LambdaConfigurations", [])
        ]
        if functions:
            bucket.set_notification_configuration({"CloudFunctionConfiguration": functions})
        return bucket

    def invoke(self, body, request_headers, response_headers):
        INVOKED.append({"functionArn": self.function_arn, "event": json.loads(body)})
        return "null"

    FakeBucket.create_from_cloudformation_json = classmethod(create_with_notifications)
    LambdaFunction.invoke = invoke
    S3Backend.delete_bucket = delete_with_tags
    CloudFormationBackend.execute_change_set = execute_whole
    EC2Backend.delete_vpc = delete_with_tables


class Dump(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            answer = [INVOKED.pop(0) for _ in list(INVOKED)] if self.path == "/invoked" else dump()
            body, status = json.dumps(answer).encode(), 200
        except Exception as error:  # the test reads it
            body, status = repr(error).encode(), 500
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


as_aws_does()
threading.Thread(target=HTTPServer(("127.0.0.1", int(sys.argv[2])), Dump).serve_forever, daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
