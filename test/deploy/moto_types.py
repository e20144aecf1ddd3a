"""CloudFormation's types that livedev's templates need and moto has no CloudFormation for, carried out by moto's own
backends of those services. Their properties are those of the services' calls, written with a capital."""

import inspect
import json

from moto.backends import get_backend
from moto.core.common_models import CloudFormationModel


def call(method, **given):
    """With None for what is not given."""
    names = list(inspect.signature(method).parameters)
    return method(**{name: given.get(name) for name in names if name not in ("kwargs", "args")})


def lower(value):
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: item for key, item in value.items()}
    return value


def define(kind, create, delete=lambda backend, made: None, *, service, update=None, region=lambda name: name):
    """`create` gives the physical id, what Fn::GetAtt gives, and what `delete` needs."""

    class Model(CloudFormationModel):
        # moto counts them by their service.
        __module__ = "moto.cloudformation.types"

        def __init__(self, physical_id, attributes, made):
            self.physical_resource_id = physical_id
            self.attributes = attributes
            self.made = made

        @staticmethod
        def cloudformation_name_type():
            return ""

        @staticmethod
        def cloudformation_type():
            return kind

        @classmethod
        def has_cfn_attr(cls, attr):
            return True

        def get_cfn_attribute(self, name):
            return self.attributes[name]

        @classmethod
        def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
            backend = get_backend(service)[account_id][region(region_name)]
            return cls(*create(backend, cloudformation_json["Properties"], resource_name))

        @classmethod
        def update_from_cloudformation_json(
            cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
        ):
            backend = get_backend(service)[account_id][region(region_name)]
            if update is not None:
                update(backend, original_resource.made, cloudformation_json["Properties"])
                return original_resource
            delete(backend, original_resource.made)
            return cls(*create(backend, cloudformation_json["Properties"], new_resource_name))

        def delete(self, account_id, region_name):
            delete(get_backend(service)[account_id][region(region_name)], self.made)

    # moto finds them by their base class, which keeps them only weakly.
    TYPES.append(Model)


TYPES = []


# ---- API Gateway v2


def api(backend, props, name):
    made = call(backend.create_api, name=props["Name"], protocol_type=props["ProtocolType"], tags=props.get("Tags"))
    return made.api_id, {"ApiId": made.api_id, "ApiEndpoint": made.api_endpoint}, made.api_id


def integration(backend, props, name):
    made = call(
        backend.create_integration,
        api_id=props["ApiId"],
        integration_type=props["IntegrationType"],
        integration_uri=props["IntegrationUri"],
        payload_format_version=props["PayloadFormatVersion"],
    )
    return made.id, {}, (props["ApiId"], made.id)


def route(backend, props, name):
    made = call(backend.create_route, api_id=props["ApiId"], route_key=props["RouteKey"], target=props["Target"])
    return made.route_id, {}, (props["ApiId"], made.route_id)


def stage(backend, props, name):
    backend.create_stage(props["ApiId"], lower(props))
    return props["StageName"], {}, (props["ApiId"], props["StageName"])


V2 = "apigatewayv2"
define("AWS::ApiGatewayV2::Api", api, lambda backend, made: backend.delete_api(made), service=V2)
# They go with their API, whichever of them is deleted first.
define("AWS::ApiGatewayV2::Integration", integration, service=V2)
define("AWS::ApiGatewayV2::Route", route, service=V2)
define("AWS::ApiGatewayV2::Stage", stage, service=V2)


# ---- CloudFront


def listed(config, *names):
    """As CloudFront's calls have lists: with their count."""
    for name in names:
        if name in config:
            config[name] = {"Quantity": len(config[name]), "Items": config[name]}


def distribution(backend, props, name):
    config = json.loads(json.dumps(props["DistributionConfig"]))
    listed(config, "Origins", "CustomErrorResponses")
    config["CallerReference"] = name
    made, _, _ = backend.create_distribution(config, [])
    return made.id, {"DomainName": made.domain_name, "Id": made.id}, made.id


def access_control(backend, props, name):
    made = backend.create_origin_access_control(props["OriginAccessControlConfig"])
    return made.id, {"Id": made.id}, made.id


def delete_distribution(backend, made):
    backend.delete_distribution(made, True)
    backend.invalidations.pop(made, None)


FRONT = {"service": "cloudfront", "region": lambda name: "aws"}
define("AWS::CloudFront::Distribution", distribution, delete_distribution, update=lambda *_: None, **FRONT)
define(
    "AWS::CloudFront::OriginAccessControl",
    access_control,
    lambda backend, made: backend.delete_origin_access_control(made),
    **FRONT,
)


# ---- S3


def bucket_policy(backend, props, name):
    backend.put_bucket_policy(props["Bucket"], json.dumps(props["PolicyDocument"]).encode())
    return name, {}, props["Bucket"]


define("AWS::S3::BucketPolicy", bucket_policy, service="s3", region=lambda name: "aws")


# ---- EC2


def association(backend, props, name):
    instance = backend.get_instance(props["InstanceId"])
    backend.associate_address(instance=instance, allocation_id=props["AllocationId"], reassociate=True)
    return name, {}, props["AllocationId"]


define("AWS::EC2::EIPAssociation", association, service="ec2")


# ---- ElastiCache, Secrets Manager, RDS Proxy


def subnet_group(backend, props, name):
    made = backend.create_cache_subnet_group(name.lower(), props["Description"], props["SubnetIds"], None)
    return made.cache_subnet_group_name, {}, made.cache_subnet_group_name


def replication_group(backend, props, name):
    cluster = "NumNodeGroups" in props
    made = call(
        backend.create_replication_group,
        replication_group_id=name.lower()[:40],
        replication_group_description=props["ReplicationGroupDescription"],
        automatic_failover_enabled=props["AutomaticFailoverEnabled"],
        num_cache_clusters=props.get("NumCacheClusters"),
        num_node_groups=props.get("NumNodeGroups"),
        node_group_configuration=[],
        cache_node_type=props["CacheNodeType"],
        engine=props["Engine"],
        engine_version=props["EngineVersion"],
        cache_subnet_group_name=props["CacheSubnetGroupName"],
        auth_token=props["AuthToken"],
        transit_encryption_enabled=props["TransitEncryptionEnabled"],
        at_rest_encryption_enabled=props["AtRestEncryptionEnabled"],
        tags=[],
        log_delivery_configurations=[],
        cluster_mode="enabled" if cluster else "disabled",
    )
    at = made.configuration_endpoint if cluster else made.node_groups[0]["primary_endpoint"]
    where = "ConfigurationEndPoint" if cluster else "PrimaryEndPoint"
    attributes = {f"{where}.Address": at["address"], f"{where}.Port": at["port"]}
    return made.replication_group_id, attributes, made.replication_group_id


CACHE = {"service": "elasticache"}
define(
    "AWS::ElastiCache::SubnetGroup",
    subnet_group,
    lambda backend, made: backend.cache_subnet_groups.pop(made, None),
    **CACHE,
)
define(
    "AWS::ElastiCache::ReplicationGroup",
    replication_group,
    lambda backend, made: backend.replication_groups.pop(made, None),
    **CACHE,
)


def secret(backend, props, name):
    made = json.loads(call(backend.create_secret, name=name, secret_string=props["SecretString"], replica_regions=[]))
    return made["ARN"], {"Id": made["ARN"]}, made["ARN"]


define(
    "AWS::SecretsManager::Secret",
    secret,
    lambda backend, made: call(backend.delete_secret, secret_id=made, force_delete_without_recovery=True),
    service="secretsmanager",
)


def proxy(backend, props, name):
    made = call(
        backend.create_db_proxy,
        db_proxy_name=props["DBProxyName"],
        engine_family=props["EngineFamily"],
        auth=props["Auth"],
        role_arn=props["RoleArn"],
        vpc_subnet_ids=props["VpcSubnetIds"],
        tags=[],
    )
    return props["DBProxyName"], {"Endpoint": made.endpoint}, props["DBProxyName"]


def target_group(backend, props, name):
    return name, {}, name


define("AWS::RDS::DBProxy", proxy, lambda backend, made: backend.db_proxies.pop(made, None), service="rds")
define("AWS::RDS::DBProxyTargetGroup", target_group, service="rds")
