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
    """What this version of moto leaves out: a change set's tags, parameters and outputs reach the stack; a bucket's tags go with it, and
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
                stack.parameters = change_set.parameters
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


def drift_as_aws_does():
    """CloudFormation's drift, which moto has none of: of queues alone, as AWS does not compare every type. A change set
    with REVERT_DRIFT brings them back, and any other leaves them as they are."""
    from moto.cloudformation.models import CloudFormationBackend
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.responses import ActionResult
    from moto.sqs.models import Queue, sqs_backends

    looks, reverting = {}, set()
    create_change_set = CloudFormationResponse.create_change_set
    validate = CloudFormationResponse._validate_different_update
    execute = CloudFormationBackend.execute_change_set

    def queues(stack):
        standing = sqs_backends[stack.account_id][stack.region_name].queues
        for name, resource in stack.resource_map._parsed_resources.items():
            if isinstance(resource, Queue):
                properties = stack.template_dict["Resources"][name].get("Properties", {})
                yield name, resource, properties.get("VisibilityTimeout"), standing

    def drifts(stack):
        for name, queue, wanted, standing in queues(stack):
            drift = {
                "StackId": stack.stack_id,
                "LogicalResourceId": name,
                "PhysicalResourceId": queue.name,
                "ResourceType": "AWS::SQS::Queue",
                "Timestamp": "2026-01-01T00:00:00Z",
                "PropertyDifferences": [],
            }
            if queue.name not in standing:
                yield {**drift, "StackResourceDriftStatus": "DELETED"}
            # Only what the template says is compared.
            elif wanted is not None and int(wanted) != int(queue.visibility_timeout):
                difference = {
                    "PropertyPath": "/VisibilityTimeout",
                    "ExpectedValue": str(wanted),
                    "ActualValue": str(queue.visibility_timeout),
                    "DifferenceType": "NOT_EQUAL",
                }
                yield {**drift, "StackResourceDriftStatus": "MODIFIED", "PropertyDifferences": [difference]}

    def detect(self):
        stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
        looks[stack.stack_id] = 0
        return ActionResult({"StackDriftDetectionId": stack.stack_id})

    def status(self):
        stack_id = self._get_param("StackDriftDetectionId")
        found = list(drifts(self.cloudformation_backend.get_stack(stack_id)))
        looks[stack_id] += 1
        done = looks[stack_id] > 1 or not found
        return ActionResult(
            {
                "StackId": stack_id,
                "StackDriftDetectionId": stack_id,
                "Timestamp": "2026-01-01T00:00:00Z",
                "DetectionStatus": "DETECTION_COMPLETE" if done else "DETECTION_IN_PROGRESS",
                **({"StackDriftStatus": "DRIFTED" if found else "IN_SYNC", "DriftedStackResourceCount": len(found)} if done else {}),
            }
        )

    def describe(self):
        stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
        # One on each page.
        found = list(drifts(stack))
        at = int(self._get_param("NextToken", "0"))
        more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
        return ActionResult({"StackResourceDrifts": found[at : at + 1], **more})

    def create(self):
        if self._get_param("DeploymentMode") != "REVERT_DRIFT":
            return create_change_set(self)
        name = self._get_param("ChangeSetName")
        reverting.add(name)
        created = create_change_set(self)
        if any(drifts(self.cloudformation_backend.get_stack(self._get_param("StackName")))):
            # It has something to do, also with the same template.
            change_set = self.cloudformation_backend.describe_change_set(name)
            change_set.status, change_set.execution_status = "CREATE_COMPLETE", "AVAILABLE"
        return created

    def validate_unless_reverting(self, *args):
        if self._get_param("ChangeSetName") not in reverting:
            validate(self, *args)

    def execute_reverting(self, change_set_name, stack_name=None):
        if change_set_name not in reverting:
            return execute(self, change_set_name, stack_name)
        for _, queue, _, standing in queues(self.get_stack(stack_name)):
            standing[queue.name] = queue
        execute(self, change_set_name, stack_name)
        for _, queue, wanted, _ in queues(self.get_stack(stack_name)):
            if wanted is not None:
                queue.visibility_timeout = int(wanted)

    CloudFormationResponse.detect_stack_drift = detect
    CloudFormationResponse.describe_stack_drift_detection_status = status
    CloudFormationResponse.describe_stack_resource_drifts = describe
    CloudFormationResponse.create_change_set = create
    CloudFormationResponse._validate_different_update = validate_unless_reverting
    CloudFormationBackend.execute_change_set = execute_reverting


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
drift_as_aws_does()
threading.Thread(target=HTTPServer(("127.0.0.1", int(sys.argv[2])), Dump).serve_forever, daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
