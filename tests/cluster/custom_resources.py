"""The fields of KubeRay's custom resources, `ray.io/v1`, as JSON schemas, without pod templates.

Transcribed from KubeRay's API reference (https://ray-project.github.io/kuberay/reference/api/), as no
package carries its custom resource definitions; fields of newer releases may be missing here. Unknown fields
are errors: the API server would drop them silently. Pod templates are checked separately, against Kubernetes'
own schemas.
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
    workerGroupSpecs={"type": "array", "items": WORKERS, "minItems": 1},
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


def resource(kind: str, spec: Schema) -> Schema:
    """A custom resource: `spec` with its kind and metadata."""
    metadata = record(("name",), name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    required = ("apiVersion", "kind", "metadata", "spec")
    return record(required, apiVersion=one_of("ray.io/v1"), kind=one_of(kind), metadata=metadata, spec=spec)


RAY_CLUSTER = resource("RayCluster", CLUSTER_SPEC)
RAY_JOB = resource("RayJob", JOB_SPEC)
