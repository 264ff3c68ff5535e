"""Which node type Ray's autoscaler starts next: spot, or on-demand while EC2 refuses spot.

Ray 2.60 has no such fallback. Both of its autoscalers ask for the best match again at once when EC2 has just
refused it: v1's default score ignores refusals, v2 counts only machines that never come up. v1 remembers
every refusal for 30 minutes, and RAY_AUTOSCALER_UTILIZATION_SCORER replaces its score by the one here.
"""

from typing import Any

from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer
from ray.autoscaler._private.util import ResourceDict

SPOT = "_spot"  # suffix of the names of spot node types in aws.yaml


def score(
    node_resources: ResourceDict,
    demands: list[ResourceDict],
    node_type: str,
    *,
    node_availability_summary: NodeAvailabilitySummary,
) -> tuple[Any, ...] | None:
    """The score of `node_type` for `demands` (None: it fits none of them); the type with the highest starts.

    Ray's own first element keeps GPUs for work that needs them and stays first, or a refusal of CPU nodes
    would start L4s. Then come whether EC2 has not refused the type, how many kinds of the demanded resources
    it has (Ray's second), and whether it is spot. The rest of Ray's score, how full the node would be,
    decides between the two types of a pool. So if EC2 has no spot node of the first type, one of the second
    comes before the first on demand, which costs more.
    """
    scored = _default_utilization_scorer(
        node_resources, demands, node_type, node_availability_summary=node_availability_summary
    )
    if scored is None:
        return None
    refused = node_availability_summary.node_availabilities.get(node_type)
    available = refused is None or refused.is_available
    return (scored[0], available, scored[1], node_type.endswith(SPOT), *scored[2:])
