"""The fields of custom resources and of eksctl's file as JSON schemas, without pod templates.

Transcribed, as no package carries the definitions; fields of newer releases may be missing here:

- RayCluster, RayJob (`ray.io/v1`): KubeRay's API reference, https://ray-project.github.io/kuberay/reference/api/
- NodePool, EC2NodeClass: pkg/apis/crds/ of aws/karpenter-provider-aws, and the pages of Karpenter 1.15
- PrometheusRule, PodMonitor (`monitoring.coreos.com/v1`): prometheus-operator, 0.82
- ClusterConfig: pkg/apis/eksctl.io/v1alpha5/assets/schema.json of eksctl-io/eksctl

Unknown fields are errors: the API server would drop them silently. Pod templates are checked separately,
against Kubernetes' own schemas.
"""

from typing import Any

Schema = dict[str, Any]

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXTS = {"type": "object", "additionalProperties": TEXT}
POD = {"type": "object", "required": ["spec"]}


def record(required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": fields, "required": [*required], "additionalProperties": False}


def array_of(item: Schema, least: int = 0) -> Schema:
    """At least so many of `item`."""
    return {"type": "array", "items": item, "minItems": least}


def one_of(*values: str) -> Schema:
    """One of these strings."""
    return {"enum": [*values]}


HEAD = record(
    ("template",),
    serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
    headService={"type": "object"},
    enableIngress=FLAG,
    rayStartParams=TEXTS,
    template=POD,
)
WORKERS = record(
    ("groupName", "minReplicas", "maxReplicas", "template"),
    groupName={"type": "string", "minLength": 1},
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts=COUNT,
    rayStartParams=TEXTS,
    scaleStrategy={"type": "object"},
    template=POD,
)
AUTOSCALER = record(
    resources={"type": "object"},
    image=TEXT,
    imagePullPolicy=one_of("Always", "IfNotPresent", "Never"),
    securityContext={"type": "object"},
    idleTimeoutSeconds=COUNT,
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    version=one_of("v1", "v2"),
    env={"type": "array"},
    envFrom={"type": "array"},
    volumeMounts={"type": "array"},
)
CLUSTER_SPEC = record(
    ("headGroupSpec",),
    suspend=FLAG,
    managedBy=one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    authOptions=record(mode=one_of("disabled", "token")),
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=TEXTS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions={"type": "object"},
    headGroupSpec=HEAD,
    rayVersion=TEXT,
    workerGroupSpecs=array_of(WORKERS, least=1),
)
JOB_SPEC = record(
    (),
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER_SPEC,
    submitterPodTemplate=POD,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=record(backoffLimit=COUNT),
    managedBy=TEXT,
    deletionStrategy={"type": "object"},
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode"),
    entrypointResources=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)


def resource(api: str, kind: str, spec: Schema) -> Schema:
    """A custom resource: `spec` with its kind and metadata."""
    metadata = record(("name",), name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    required = ("apiVersion", "kind", "metadata", "spec")
    return record(required, apiVersion=one_of(api), kind=one_of(kind), metadata=metadata, spec=spec)


RAY_CLUSTER = resource("ray.io/v1", "RayCluster", CLUSTER_SPEC)
RAY_JOB = resource("ray.io/v1", "RayJob", JOB_SPEC)

DURATION = {"type": "string", "pattern": "^([0-9]+(s|m|h))+$"}
DURATION_OR_NEVER = {"type": "string", "pattern": "^(([0-9]+(s|m|h))+|Never)$"}
TAINT = record(
    ("key", "effect"), key=TEXT, value=TEXT, effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute")
)
REQUIREMENT = record(
    ("key", "operator"),
    key=TEXT,
    operator=one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    values=array_of(TEXT),
    minValues={"type": "integer", "minimum": 1, "maximum": 50},
)
NODE_TEMPLATE = record(
    ("nodeClassRef", "requirements"),
    expireAfter=DURATION_OR_NEVER,
    nodeClassRef=record(("group", "kind", "name"), group=TEXT, kind=TEXT, name=TEXT),
    requirements={"type": "array", "items": REQUIREMENT, "maxItems": 100},
    startupTaints=array_of(TAINT),
    taints=array_of(TAINT),
    terminationGracePeriod=DURATION,
)
BUDGET = record(
    ("nodes",),
    nodes={"type": "string", "pattern": "^((100|[0-9]{1,2})%|[0-9]+)$"},
    reasons=array_of(one_of("Underutilized", "Empty", "Drifted", "Unhealthy")),
    schedule=TEXT,
    duration=TEXT,
)
NODE_POOL = resource(
    "karpenter.sh/v1",
    "NodePool",
    record(
        ("template",),
        disruption=record(
            ("consolidateAfter",),
            budgets=array_of(BUDGET),
            consolidateAfter=DURATION_OR_NEVER,
            consolidationPolicy=one_of("WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"),
        ),
        limits={"type": "object", "additionalProperties": {"type": ["integer", "string"]}},
        template=record(("spec",), metadata=record(labels=TEXTS, annotations=TEXTS), spec=NODE_TEMPLATE),
        weight={"type": "integer", "minimum": 1, "maximum": 100},
    ),
)
SELECTOR = record(tags=TEXTS, id=TEXT, name=TEXT)
NODE_CLASS = resource(
    "karpenter.k8s.aws/v1",
    "EC2NodeClass",
    record(
        ("amiSelectorTerms", "subnetSelectorTerms", "securityGroupSelectorTerms"),
        amiFamily=one_of("AL2", "AL2023", "Bottlerocket", "Custom"),
        amiSelectorTerms=array_of(
            record(
                alias={"type": "string", "pattern": "^(al2|al2023|bottlerocket)@.+$", "maxLength": 30},
                id=TEXT,
                name=TEXT,
                owner=TEXT,
                tags=TEXTS,
                ssmParameter=TEXT,
            ),
            least=1,
        ),
        subnetSelectorTerms=array_of(SELECTOR, least=1),
        securityGroupSelectorTerms=array_of(SELECTOR, least=1),
        role=TEXT,
        instanceProfile=TEXT,
        associatePublicIPAddress=FLAG,
        detailedMonitoring=FLAG,
        instanceStorePolicy=one_of("RAID0"),
        tags=TEXTS,
        userData=TEXT,
        kubelet={"type": "object"},
        metadataOptions=record(
            httpEndpoint=one_of("enabled", "disabled"),
            httpProtocolIPv6=one_of("enabled", "disabled"),
            httpPutResponseHopLimit={"type": "integer", "minimum": 1, "maximum": 64},
            httpTokens=one_of("required", "optional"),
        ),
        blockDeviceMappings=array_of(
            record(
                deviceName=TEXT,
                rootVolume=FLAG,
                ebs=record(
                    deleteOnTermination=FLAG,
                    encrypted=FLAG,
                    iops=COUNT,
                    kmsKeyID=TEXT,
                    snapshotID=TEXT,
                    throughput=COUNT,
                    volumeSize={"type": "string", "pattern": "^[1-9][0-9]*(Gi|G|Ti|T)$"},
                    volumeType=one_of("standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"),
                ),
            )
        ),
    ),
)

PROMETHEUS_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
ALERT = record(
    ("alert", "expr"),
    alert={"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9]*$"},
    expr=TEXT,
    **{"for": PROMETHEUS_DURATION},
    keep_firing_for=PROMETHEUS_DURATION,
    labels=TEXTS,
    annotations=TEXTS,
)
RULES = record(
    ("groups",),
    groups=array_of(
        record(
            ("name", "rules"),
            name={"type": "string", "minLength": 1},
            interval=PROMETHEUS_DURATION,
            limit=COUNT,
            rules=array_of(ALERT, least=1),
        )
    ),
)
PROMETHEUS_RULE = resource("monitoring.coreos.com/v1", "PrometheusRule", RULES)
POD_MONITOR = resource(
    "monitoring.coreos.com/v1",
    "PodMonitor",
    record(
        ("selector", "podMetricsEndpoints"),
        selector=record(matchLabels=TEXTS),
        namespaceSelector=record(any=FLAG, matchNames=array_of(TEXT)),
        podMetricsEndpoints=array_of(
            record(
                port=TEXT,
                path=TEXT,
                interval=PROMETHEUS_DURATION,
                relabelings=array_of(
                    record(
                        sourceLabels=array_of(TEXT),
                        targetLabel=TEXT,
                        regex=TEXT,
                        replacement=TEXT,
                        action=TEXT,
                    )
                ),
            ),
            least=1,
        ),
    ),
)

POLICY_ARNS = array_of({"type": "string", "pattern": "^arn:aws:iam::(aws|[0-9]{12}):policy/"})
POD_IDENTITY = record(
    ("namespace", "serviceAccountName"),
    namespace=TEXT,
    serviceAccountName=TEXT,
    createServiceAccount=FLAG,
    roleName=TEXT,
    roleARN=TEXT,
    permissionPolicyARNs=POLICY_ARNS,
    permissionsBoundaryARN=TEXT,
    tags=TEXTS,
)
NODE_GROUP = record(
    ("name",),
    name=TEXT,
    amiFamily=one_of("AmazonLinux2023", "Bottlerocket", "Ubuntu2404"),
    instanceType=TEXT,
    instanceTypes=array_of(TEXT),
    desiredCapacity=COUNT,
    minSize=COUNT,
    maxSize=COUNT,
    labels=TEXTS,
    tags=TEXTS,
    taints=array_of(TAINT),
    volumeSize=COUNT,
    volumeType=one_of("gp2", "gp3", "io1", "io2", "sc1", "st1"),
    volumeEncrypted=FLAG,
    privateNetworking=FLAG,
    disableIMDSv1=FLAG,
    disablePodIMDS=FLAG,
    releaseVersion=TEXT,
    spot=FLAG,
)
EKS_CLUSTER = record(
    ("apiVersion", "kind", "metadata"),
    apiVersion=one_of("eksctl.io/v1alpha5"),
    kind=one_of("ClusterConfig"),
    metadata=record(("name", "region"), name=TEXT, region=TEXT, version=TEXT, tags=TEXTS),
    accessConfig=record(
        authenticationMode=one_of("CONFIG_MAP", "API", "API_AND_CONFIG_MAP"),
        bootstrapClusterCreatorAdminPermissions=FLAG,
        accessEntries=array_of(
            record(
                ("principalARN",),
                principalARN=TEXT,
                type=one_of("EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "STANDARD"),
                kubernetesUsername=TEXT,
                kubernetesGroups=array_of(TEXT),
                accessPolicies={"type": "array"},
            )
        ),
    ),
    iam=record(withOIDC=FLAG, podIdentityAssociations=array_of(POD_IDENTITY)),
    addonsConfig=record(autoApplyPodIdentityAssociations=FLAG, disableDefaultAddons=FLAG),
    addons=array_of(
        record(("name",), name=TEXT, version=TEXT, tags=TEXTS, useDefaultPodIdentityAssociations=FLAG)
    ),
    managedNodeGroups=array_of(NODE_GROUP),
)
